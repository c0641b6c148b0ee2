"""The samples that the probes look at: those of one class, and those of the classes that stay.

Whether a model knows a class is asked of every sample of it that there is: the forget set, and what was held
out. To a model that never saw the class both are unseen; and the few held-out samples of one class alone,
often a dozen or two, could not tell two models apart. Accuracy on kept classes is measured on held-out
samples, for a model is nearly always right about what it learned.

A *half* holds samples of the class and of kept classes. What is chosen on one half is measured on the other.
The first has the tuning samples, the second the unseen ones, and the forget set is dealt out in turn. Without
held-out samples of kept classes, retained ones are dealt out likewise: their accuracy is too high, in the
candidate, in the mask and in the references alike. A *hidden* class is another one that was forgotten: no
sample of it is looked at, and its output is kept out of every answer.
"""

from dataclasses import dataclass

import numpy as np
import torch

from workers.numerics import seeding
from workers.numerics.batches import SampleSet

MOST_OF_CLASS = 1000
MOST_KEPT = 2000


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is asked about one class.

    Attributes:
        label: the class.
        hidden: other classes that were forgotten; sorted.
        halves: samples of the class and of kept classes, to choose on and to measure on.
        kept: training samples of kept classes, to learn from; at most MOST_KEPT.
    """

    label: int
    hidden: tuple[int, ...]
    halves: tuple[SampleSet, SampleSet]
    kept: SampleSet

    @property
    def of_class(self) -> SampleSet:
        """Every sample of the class, of both halves."""
        both = np.concatenate([half.positions for half in self.halves])
        samples = SampleSet(self.kept.source, both)
        return _of(samples, self.label)


def gather(
    label: int,
    *,
    hidden: tuple[int, ...],
    of_class: SampleSet,
    retain: SampleSet,
    tuning: SampleSet | None,
    unseen: SampleSet,
    seed: int,
) -> Evidence:
    """Choose the samples for one class; the same for a seed.

    Args:
        label: the class.
        hidden: other forgotten classes.
        of_class: training samples of the class, among others perhaps.
        retain: training samples, of kept classes or of others.
        tuning: held-out samples that strengths were chosen on; None if there are none.
        unseen: held-out samples that chose nothing.
        seed: of the draw where there are more samples than needed.
    """
    gone = [label, *hidden]
    held_out = (unseen.take(np.empty(0, dtype=np.int64)) if tuning is None else tuning, unseen)
    learned = _drawn(_of(of_class, label), MOST_OF_CLASS, seed, "class")
    kept = _drawn(_beside(retain, gone), MOST_KEPT, seed, "kept")
    beside = [_drawn(_beside(each, gone), MOST_KEPT // 2, seed, "held out") for each in held_out]
    if not all(map(len, beside)):
        beside = [_dealt(kept, turn) for turn in (0, 1)]
    first, second = (
        SampleSet(
            retain.source,
            np.concatenate(
                [_dealt(learned, turn).positions, _of(each, label).positions, beside[turn].positions]
            ),
        )
        for turn, each in enumerate(held_out)
    )
    return Evidence(label, tuple(sorted(hidden)), (first, second), kept)


def _of(samples: SampleSet, label: int) -> SampleSet:
    return samples.take(np.flatnonzero(samples.labels.numpy() == label))


def _beside(samples: SampleSet, gone: list[int]) -> SampleSet:
    return samples.take(np.flatnonzero(~np.isin(samples.labels.numpy(), gone)))


def _drawn(samples: SampleSet, limit: int, seed: int, name: str) -> SampleSet:
    """Return at most `limit` of the samples, in their order."""
    if len(samples) <= limit:
        return samples
    order = torch.randperm(len(samples), generator=seeding.generator(seed, "evidence", name))
    return samples.take(np.sort(order[:limit].numpy()))


def _dealt(samples: SampleSet, turn: int) -> SampleSet:
    """Return every second sample."""
    return samples.take(np.arange(turn, len(samples), 2, dtype=np.int64))
