"""The competition's attacks on one sample: a threshold or an interval parts unlearned from retrained models.

Vocabulary. The *scores* of a sample are its log odds log p_y - log(1 - p_y) under each model. A *threshold*
calls a model positive whose score lies above it; positive is the side with the larger median. An *interval*
calls a model positive whose score lies inside; positive is then the *peaked* side, that with the smaller
range w. As the competition has it, the interval is about as wide as the peaked scores and stands about where
they stand: its right end within 2 of their largest, its width within 2 of w. An attack is a pair of *cuts*
between scores.

Departure. The competition tries ends on a grid of 100 to the unit. Here every attack of the family is tried
that parts the given scores in a way of its own: ends anywhere between two neighbouring scores do the same.
So nothing is missed that falls between two points of the grid, and an estimate is never below the grid's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.audit.competition.rates import Floats

REACH = 2.0  # how far an interval's right end and width may lie from those of the peaked scores

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Attacks:
    """Attacks of one kind on one sample, and what they get wrong; all arrays [attacks].

    Attributes:
        lows: a score must lie above this to be called positive.
        highs: and at or below this.
        false_positives: negatives called positive.
        false_negatives: positives not called so.
        is_first: whether the first of the two sides is the positive one.
    """

    lows: Floats
    highs: Floats
    false_positives: Counts
    false_negatives: Counts
    is_first: bool


def thresholds(first: Floats, second: Floats) -> Attacks:
    """Return all thresholds that part the scores differently.

    Args:
        first: one side's scores, finite, [models].
        second: the other's.
    """
    is_first = bool(np.median(first) >= np.median(second))
    positive, negative = (first, second) if is_first else (second, first)
    values, positives_below, negatives_below = _ranked(positive, negative)
    cuts = np.concatenate([[-np.inf], values])  # a threshold on a score calls that score negative
    return Attacks(
        lows=cuts,
        highs=np.full(len(cuts), np.inf),
        false_positives=len(negative) - negatives_below,
        false_negatives=positives_below,
        is_first=is_first,
    )


def intervals(first: Floats, second: Floats) -> Attacks:
    """Return all intervals of the family that part the scores differently; arguments as for `thresholds`."""
    is_first = bool(np.ptp(first) <= np.ptp(second))
    positive, negative = (first, second) if is_first else (second, first)
    values, positives_below, negatives_below = _ranked(positive, negative)
    width, largest = float(np.ptp(positive)), float(positive.max())

    # The left end lies between before[i] and after[i], the right end between before[j] and after[j].
    before, after = np.concatenate([[-np.inf], values]), np.concatenate([values, [np.inf]])
    lowest_right = np.maximum(before, largest - REACH)  # [cuts]
    highest_right = np.minimum(after, largest + REACH)
    lowest = np.maximum(lowest_right[None, :], (before + width - REACH)[:, None])  # [left, right]
    highest = np.minimum(highest_right[None, :], (after + width + REACH)[:, None])
    left, right = np.nonzero(np.triu(lowest < highest, k=1))
    inside = positives_below[right] - positives_below[left]
    return Attacks(
        lows=before[left],
        highs=before[right],
        false_positives=negatives_below[right] - negatives_below[left],
        false_negatives=len(positive) - inside,
        is_first=is_first,
    )


def _ranked(positive: Floats, negative: Floats) -> tuple[Floats, Counts, Counts]:
    """Return the distinct scores, rising, and how many of each side lie at or below each cut."""
    values, ranks = np.unique(np.concatenate([positive, negative]), return_inverse=True)

    def below(part: Counts) -> Counts:
        counted = np.bincount(part, minlength=len(values))
        return np.concatenate([[0], np.cumsum(counted)]).astype(np.int64)

    return values, below(ranks[: len(positive)]), below(ranks[len(positive) :])
