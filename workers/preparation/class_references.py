"""Makes class references: trains models that never saw a class, probes them, and keeps the numbers alone.

A class reference says how much of a class a model brings back that never saw it: what an approximate claim
about a class is judged by (`audit.resurrection`). It is trained by the model's own recipe, in shards or of a
head alone as that says, from another seed: what two seeds have in common is the data, not the path. Which
class is left out follows from a seed, so that two workers agree, and no class is studied because it looks
easy.
"""

import dataclasses
from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.audit.resurrection.evidence import gather
from workers.audit.resurrection.probing import probe
from workers.audit.resurrection.references import ClassReference, ClassReferences
from workers.numerics import ensembles, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params
from workers.preparation import training
from workers.preparation.errors import TrainingError
from workers.preparation.recipe import TrainingRecipe

MOST_SEEDS = 2**31


def missing(
    references: ClassReferences, classes: Collection[int], *, number: int, seed: int
) -> tuple[int, ...]:
    """Return the classes to leave out next, in order, so that there are `number` references in the end.

    Args:
        references: that are there; one about a class that was forgotten since counts too.
        classes: that the model still knows.
        number: of references wanted.
        seed: of the order; the same for all workers of a model.
    """
    done = {each.label for each in references.references}
    # By a number of each class's own: the order of the others stays as it was when one is forgotten.
    left = sorted({*classes} - done, key=lambda label: seeding.derive(seed, "class references", label))
    return tuple(left[: max(0, number - len(references))])


def add(
    build: Callable[[], nn.Module],
    source: DatasetSource,
    recipe: TrainingRecipe,
    references: ClassReferences,
    *,
    label: int,
    base: Params,
    initial: Params | None = None,
    excluded: NDArray[np.int64] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> ClassReferences:
    """Train a model without one class, probe it, and return the references with it.

    Args:
        build: makes the untrained network that the recipe trains, one constituent if it has shards.
        source: the data.
        recipe: by which the model was trained; the reference has a seed of its own.
        references: that are there already; one about the same class is replaced.
        label: the class to leave out.
        base: the weights that the reference is for, as they are served; what they bring back of the class
            behind a mask is kept beside it.
        initial: the weights that the recipe starts from, if it names any.
        excluded: manifest rows that were forgotten, training or held out.
        seed: of the training, the samples that are looked at, and what is drawn in the probes.
        device: to train and probe on.
        progress: told the share done; may raise to cancel.

    Raises:
        TrainingError: the class has no training sample, no other class has one, or the training fails.
        DatasetRowError: a row cannot be read.
    """
    gone = np.empty(0, dtype=np.int64) if excluded is None else excluded
    learned = training.remaining(source, "train", gone)
    of_class = learned.take(np.flatnonzero(learned.labels.numpy() == label))
    if not 0 < len(of_class) < len(learned):
        raise TrainingError(
            f"expected training samples of class {label} and of others, got {len(of_class)} of "
            f"{len(learned)}: choose a class that the model still knows"
        )
    trained = training.train(
        build,
        source,
        dataclasses.replace(recipe, seed=seeding.derive(seed, "class reference", label) % MOST_SEEDS),
        initial=initial,
        excluded=np.union1d(gone, of_class.positions),
        device=device,
        key=_key(seed, label),
        progress=progress,
    )
    placed = {name: tensor.to(device) for name, tensor in trained.params.items()}
    return references.with_one(
        found(
            lambda: ensembles.combined(build, recipe.shards),
            placed,
            base,
            source,
            label=label,
            excluded=gone,
            seed=seed,
        )
    )


def found(
    build: Callable[[], nn.Module],
    params: Params,
    base: Params,
    source: DatasetSource,
    *,
    label: int,
    excluded: NDArray[np.int64],
    seed: int,
) -> ClassReference:
    """Probe a model that never saw a class, and beside it the one that it is a reference for.

    Args:
        build: makes what is served.
        params: of the model that never saw the class.
        base: of the other.
        source: the data.
        label: the class.
        excluded: manifest rows that neither learned from, beside those of the class.
        seed: of what is drawn.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    learned = training.remaining(source, "train", excluded)
    holdout = source.manifest.positions("holdout")
    evidence = gather(
        label,
        hidden=_untaught(learned),
        of_class=learned,
        retain=learned,
        tuning=_without(source, holdout[0::2], excluded),
        unseen=_without(source, holdout[1::2], excluded),
        seed=seed,
    )
    return ClassReference(
        label,
        found=probe(build, params, evidence, seed),
        masked=probe(build, base, evidence, seed, is_masked=True),
    )


def _untaught(learned: SampleSet) -> tuple[int, ...]:
    """Return the classes of the data set of which no training sample is left: they were forgotten."""
    manifest = learned.source.manifest
    return tuple(sorted({*range(manifest.num_classes)} - {*learned.labels.tolist()}))


def _without(source: DatasetSource, positions: NDArray[np.int64], gone: NDArray[np.int64]) -> SampleSet:
    return SampleSet(source, positions[~np.isin(positions, gone)])


def _key(seed: int, label: int) -> bytes:
    """Return the key of the noise on a head: nobody sees these weights, so it need not be secret."""
    return seeding.derive(seed, "class reference noise", label).to_bytes(32, "big")
