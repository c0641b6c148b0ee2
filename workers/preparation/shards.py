"""Who learns from which sample, and when: the deal of a data set to shards and slices, and its stages.

"Machine unlearning" (Bourtoule, Chandrasekaran, Choquette-Choo, Jia, Travers, Zhang, Lie, Papernot; IEEE S&P
2021), sections IV and V. The training samples are parted into *shards*, a constituent network for each, and
each shard into *slices*. *Stage* i of a constituent trains on slices 1 to i together, from where stage i - 1
ended. A sample of slice i has touched nothing before stage i.

The deal. Training rows are sorted by class and, within a class, by a hash of seed and position, and dealt to
the cells (slice, shard) as one deals cards. So cells differ by at most one sample, and by at most one of each
class. The deal is that of all training rows of the manifest, those forgotten among them: forgetting leaves
gaps and moves no other sample.

The cost. A constituent makes as many passes as the recipe has epochs, if passes over part of the shard are
counted as that part: with R slices each stage makes 2 E / (R + 1) passes over what it sees (section V-C).
What a stage does follows from its own slices and those before, never from later ones, and so does its share
of the learning rate's fall: the state after it is the same whatever happens to samples that come later.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource, Manifest
from workers.preparation.recipe import TrainingRecipe

Slice = NDArray[np.int64]
"""Manifest positions, ascending."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What a constituent does between two checkpoints.

    Attributes:
        samples: of its slice and all before, ascending.
        num_steps: of the optimizer; 0 if there are fewer than two samples, on which batch norm cannot train.
        start: share of the learning rate's fall that lies before it.
        end: share that lies before the next.
    """

    samples: SampleSet
    num_steps: int
    start: float
    end: float


def deal(
    manifest: Manifest, recipe: TrainingRecipe, excluded: NDArray[np.int64] | None = None
) -> tuple[tuple[Slice, ...], ...]:
    """Return the slices of each shard, without the excluded positions; a slice may be empty.

    Args:
        manifest: whose training rows are dealt.
        recipe: numbers of shards and slices, and the seed.
        excluded: positions left out after the deal, in any order.
    """
    rows = manifest.positions("train")
    hashes = np.array([seeding.derive(recipe.seed, "deal", int(row)) for row in rows], dtype=np.int64)
    dealt = rows[np.lexsort((rows, hashes, manifest.labels[rows]))]
    cells = np.arange(len(dealt)) % (recipe.shards * recipe.slices)
    is_kept = ~np.isin(dealt, [] if excluded is None else excluded)
    return tuple(
        tuple(
            np.sort(dealt[is_kept & (cells == number * recipe.shards + shard)])
            for number in range(recipe.slices)
        )
        for shard in range(recipe.shards)
    )


def stages(source: DatasetSource, slices: Sequence[Slice], recipe: TrainingRecipe) -> list[Stage]:
    """Return the stages of one constituent, one a slice."""
    whole = len(slices) * (len(slices) + 1) / 2
    found: list[Stage] = []
    for number in range(1, len(slices) + 1):
        samples = SampleSet(source, np.sort(np.concatenate(slices[:number])))
        start, end = (number * (number - 1) / 2 / whole, number * (number + 1) / 2 / whole)
        found.append(Stage(samples, _num_steps(samples, recipe, number / whole), start, end))
    return found


def _num_steps(samples: SampleSet, recipe: TrainingRecipe, share: float) -> int:
    """Return the steps of a stage that does this share of its constituent's training."""
    if len(samples) < 2:
        return 0
    if recipe.steps is not None:
        return max(1, round(recipe.steps / recipe.shards * share))
    passes = 2 * recipe.epochs / (recipe.slices + 1)
    return max(1, round(passes * samples.num_batches(recipe.batch_size, merge_single=True)))
