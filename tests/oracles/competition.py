"""The competition's epsilon by brute force: every end of an interval tried, every error counted, float64."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

DELTA = 1e-5
REACH = 2.0


def epsilon(first: Sequence[float], second: Sequence[float]) -> float:
    """One sample's epsilon; ends are tried between all values at which anything changes."""
    narrow, wide = sorted((first, second), key=lambda side: max(side) - min(side))
    if max(narrow) - min(narrow) < 0.01 * (max(wide) - min(wide)):
        return 50.0
    found = [
        shown(positive, negative, lambda score, at=at: score > at)
        for positive, negative in [sorted((first, second), key=median, reverse=True)]
        for at in between([*first, *second])
    ]
    found += [
        shown(narrow, wide, lambda score, low=low, high=high: low < score < high)
        for high, low in ends(narrow, wide)
    ]
    return min(max([0.0, *found]), 50.0)


def on_grid(first: Sequence[float], second: Sequence[float]) -> float:
    """The same with ends on a grid of 100 to the unit, as the competition tried them."""
    narrow, wide = sorted((first, second), key=lambda side: max(side) - min(side))
    width = max(narrow) - min(narrow)
    low, high = min([*first, *second]), max([*first, *second])
    positive, negative = sorted((first, second), key=median, reverse=True)
    found = [
        shown(positive, negative, lambda score, at=at: score > at) for at in steps(low - 0.01, high + 0.01)
    ]
    for right in steps(max(narrow) - REACH, max(narrow) + REACH):
        for left in steps(right - width - REACH, right - width + REACH):
            found.append(shown(narrow, wide, lambda score, low=left, high=right: low < score < high))
    return min(max([0.0, *found]), 50.0)


def shown(positive: Sequence[float], negative: Sequence[float], is_called) -> float:
    """What one attack shows; minus infinity if it is discarded."""
    fpr = sum(map(is_called, negative)) / len(negative)
    fnr = sum(not is_called(score) for score in positive) / len(positive)
    if fpr == 0 and fnr == 0:
        return math.inf
    if fpr == 0 or fnr == 0:
        return -math.inf
    values = [-math.inf]
    if 1 - DELTA - fpr > 0:
        values.append(math.log(1 - DELTA - fpr) - math.log(fnr))
    if 1 - DELTA - fnr > 0:
        values.append(math.log(1 - DELTA - fnr) - math.log(fpr))
    return max(values)


def ends(narrow: Sequence[float], wide: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Right and left ends of the family, one of each kind of interval."""
    width, largest, scores = max(narrow) - min(narrow), max(narrow), [*narrow, *wide]
    turns = [score + shift for score in scores for shift in (0.0, width - REACH, width + REACH)]
    for high in between([*turns, largest - REACH, largest + REACH]):
        if not largest - REACH < high < largest + REACH:
            continue
        bounds = (high - width - REACH, high - width + REACH)
        for low in between([*scores, *bounds]):
            if bounds[0] < low < bounds[1]:
                yield high, low


def between(values: Iterable[float]) -> list[float]:
    """Points beside and between the values."""
    ordered = sorted({*values})
    return [ordered[0] - 1, *((a + b) / 2 for a, b in pairwise(ordered)), ordered[-1] + 1]


def steps(low: float, high: float) -> list[float]:
    """A grid of 100 to the unit."""
    return [low + number / 100 for number in range(math.ceil(100 * (high - low)) + 1)]
