"""The reference bank that comes free with a model in shards: its own constituents.

"Machine unlearning" (Bourtoule et al., IEEE S&P 2021) trains one network a shard, and none sees another's
samples. So for a sample of shard s the other S - 1 constituents are models that never saw it, and one is a
model that did. They learned from an S-th of the data where a bank's members learn from half: they are further
from the served model, which the controls have to make up for. A forgotten sample retires one constituent
until it is trained anew.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from workers.audit.reference.bank import ReferenceBank
from workers.numerics import ensembles
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params
from workers.preparation import shards, training
from workers.preparation.bank import controls, scoring
from workers.preparation.errors import TrainingError
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import Build


def from_shards(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    params: Params,
    *,
    excluded: NDArray[np.int64] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> ReferenceBank:
    """Return a bank whose members are the constituents; nothing is trained.

    Args:
        build: makes one constituent.
        source: the data.
        recipe: that the served model was trained by, with its number of shards.
        params: of the served ensemble, trained without `excluded`.
        excluded: int64 positions in any order, all that is forgotten.
        seed: of the controls.
        device: to score on.

    Raises:
        TrainingError: the recipe has one shard, so there is no model that did not see a sample.
        DatasetRowError: a row cannot be read.
    """
    if recipe.shards < 2:
        raise TrainingError("expected a recipe with at least two shards, got one; grow the bank instead")
    gone = np.empty(0, dtype=np.int64) if excluded is None else excluded
    drawn = controls.draw(source.manifest, gone, seed)
    rows = training.remaining(source, "train", gone).positions
    bank = ReferenceBank.empty(rows, drawn.positions, drawn.labels)
    model = build()
    for number, dealt in enumerate(shards.deal(source.manifest, recipe, gone)):
        state = ensembles.constituent(params, number, recipe.shards)
        placed = {name: tensor.to(device) for name, tensor in state.items()}
        bank = bank.with_member(
            number,
            is_in=np.isin(rows, np.concatenate(dealt)),
            scores=scoring.of_samples(model, placed, source, rows),
            control_scores=scoring.of_labels(model, placed, source, drawn.positions, drawn.labels),
        )
    return bank
