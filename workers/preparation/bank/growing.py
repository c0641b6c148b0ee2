"""Trains the members of a reference bank, one by one, and takes up a bank where an earlier turn left it.

A member is named by its number alone: its half, its initial values and the order of its samples follow from
the bank's seed and that number. So a bank that was grown in turns is the bank grown at once, and one that
lost members to a deletion and grew them again is, on one machine, the bank that never had the deleted rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from workers.audit.reference.bank import ReferenceBank
from workers.numerics import ensembles, seeding
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params
from workers.numerics.secret_noise import SMALLEST_KEY
from workers.preparation import training
from workers.preparation.bank import controls, halves, scoring
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import Build, Progress


def grow(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    bank: ReferenceBank | None,
    *,
    num_members: int,
    initial: Params | None = None,
    excluded: NDArray[np.int64] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    is_due: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> ReferenceBank:
    """Train members that are missing, at least one of them, until all are there or the turn is over.

    Args:
        build: as in `training.train`.
        source: the data.
        recipe: how the served model is trained; a member differs in its samples and its seed.
        bank: what an earlier turn gave; not changed. One of other rows than those that remain is left
            behind.
        num_members: how many there shall be, numbered from 0; a multiple of two keeps the bank balanced.
        initial: the weights that the recipe starts from, if it names some.
        excluded: int64 positions in any order, all that is forgotten: they are in no member.
        seed: of the bank; another than the model's own gives no better members, but none that share its seed.
        device: to train on.
        is_due: asked after each member whether the turn is over.
        progress: called with the share of members that are there; may raise to cancel.

    Raises:
        TrainingError: as `training.train`.
        DatasetRowError: a row cannot be read.
    """
    gone = np.empty(0, dtype=np.int64) if excluded is None else excluded
    maker = _Maker(build, source, recipe, initial, gone, seed, device)
    grown = _begun(source, bank, gone, seed)
    for number in np.setdiff1d(np.arange(num_members), grown.members).tolist():
        grown = maker.with_member(grown, number, _share_of(progress, len(grown), num_members))
        if is_due():
            break
    return grown


@dataclass(frozen=True, eq=False)
class _Maker:
    """All that the members have in common."""

    build: Build
    source: DatasetSource
    recipe: TrainingRecipe
    initial: Params | None
    excluded: NDArray[np.int64]
    seed: int
    device: torch.device | str

    def with_member(self, bank: ReferenceBank, number: int, progress: Progress | None) -> ReferenceBank:
        """Train one member and let it score everything; nothing of it stays but the scores."""
        rows = self.source.manifest.positions("train")
        is_learned = halves.learned(self.source.manifest, number, self.seed)
        trained = training.train(
            self.build,
            self.source,
            replace(self.recipe, seed=seeding.derive(self.seed, "member", number)),
            initial=self.initial,
            excluded=np.union1d(self.excluded, rows[~is_learned]),
            device=self.device,
            key=self._noise_key(number),
            progress=progress,
        )
        model = ensembles.combined(self.build, self.recipe.shards)
        params = {name: tensor.to(self.device) for name, tensor in trained.params.items()}
        controls_at = (bank.control_positions, bank.control_labels)
        return bank.with_member(
            number,
            is_in=is_learned[np.isin(rows, bank.positions)],
            scores=scoring.of_samples(model, params, self.source, bank.positions),
            control_scores=scoring.of_labels(model, params, self.source, *controls_at),
        )

    def _noise_key(self, number: int) -> bytes:
        """Return the key of a head's noise; it need not be secret, for a member is never published."""
        return seeding.derive(self.seed, "member", number, "noise").to_bytes(SMALLEST_KEY, "big")


def _begun(
    source: DatasetSource, bank: ReferenceBank | None, excluded: NDArray[np.int64], seed: int
) -> ReferenceBank:
    """Return what may be kept of a bank, or one without members over all rows that remain."""
    remaining = training.remaining(source, "train", excluded).positions
    kept = None if bank is None else bank.without(excluded)
    if kept is not None and len(kept) and np.array_equal(kept.positions, remaining):
        return kept
    drawn = controls.draw(source.manifest, excluded, seed)
    return ReferenceBank.empty(remaining, drawn.positions, drawn.labels)


def _share_of(progress: Progress | None, num_done: int, num_members: int) -> Progress | None:
    """Return what tells the progress of all members when it is told that of one."""
    if progress is None:
        return None
    return lambda share: progress((num_done + share) / num_members)
