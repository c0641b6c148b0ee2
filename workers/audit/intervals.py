"""Intervals and tests for counts: what a share, and a change of a share, can be believed to be.

All are exact or close to it at the sizes an audit has, a dozen to a few thousand samples, where the usual
normal approximation puts an interval of no width around 0 of 12.
"""

import math

from scipy import stats

LEVEL = 0.95
SIGNIFICANCE = 0.05


def share_interval(num_hits: int, num_samples: int) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share (Clopper and Pearson, Biometrika 1934).

    Its coverage is never below LEVEL. Without samples it is [0, 1].
    """
    tail = (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, num_hits, num_samples - num_hits + 1)) if num_hits > 0 else 0.0
    high = (
        float(stats.beta.ppf(1 - tail, num_hits + 1, num_samples - num_hits))
        if num_hits < num_samples
        else 1.0
    )
    return low, high


def drop_interval(num_lost: int, num_won: int, num_samples: int) -> tuple[float, float]:
    """Return an interval for the drop of accuracy between two models on the same samples.

    Agresti and Min (Statistics in Medicine 2005): the Wald interval of a paired difference after adding one
    half to each of the four counts.

    Args:
        num_lost: samples that only the old model gets right.
        num_won: samples that only the new model gets right.
        num_samples: all of them; at least 1.
    """
    lost, won, total = num_lost + 0.5, num_won + 0.5, num_samples + 2.0
    drop = (lost - won) / total
    deviation = math.sqrt(lost + won - (lost - won) ** 2 / total) / total
    reach = float(stats.norm.ppf((1 + LEVEL) / 2)) * deviation
    return max(-1.0, drop - reach), min(1.0, drop + reach)


def drop_probability(num_lost: int, num_won: int) -> float:
    """Return how often chance would lose as many of the changed samples (exact McNemar test, one-sided)."""
    changed = num_lost + num_won
    return float(stats.binom.sf(num_lost - 1, changed, 0.5)) if changed else 1.0
