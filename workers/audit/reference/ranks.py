"""Several statistics of one set of samples, ranked among chance sets, and one p-value for all of them.

The statistics, of the samples' excess r_i (`matching`):
- mean: of r_i; remembered on the whole, or driven off on the whole;
- weighted mean: with weights w_i, which say where memory would show most;
- scatter: the mean of |r_i|; some remembered and some driven off, or all of them suspiciously usual.

Each is ranked from both ends among the same statistic of chance sets. The smallest of the three p-values is
ranked among the smallest of every chance set (Westfall and Young, Resampling-Based Multiple Testing, 1993,
section 2.3), so a test at 5 % refuses 5 % of sets that are like chance, however many statistics there are.
"""

import numpy as np

from workers.audit.reference.matching import Floats


def statistics(excess: Floats, weights: Floats) -> Floats:
    """Return mean, weighted mean and scatter; [sets, n], [n] -> [sets, 3]."""
    weighted = (excess * weights).sum(axis=1) / weights.sum()
    return np.stack([excess.mean(axis=1), weighted, np.abs(excess).mean(axis=1)], axis=1)


def p_values(found: Floats, chance: Floats) -> Floats:
    """Return the p-value of each set, all statistics taken together.

    Args:
        found: [sets, s], statistics of the sets to judge.
        chance: [draws, s], those of chance sets.

    Returns:
        [sets]; none is below 1 / (draws + 1).
    """
    smallest = _each(found, chance).min(axis=1)
    by_chance = np.sort(_each(chance, chance).min(axis=1))
    return np.asarray((1 + np.searchsorted(by_chance, smallest, side="right")) / (1 + len(chance)))


def _each(found: Floats, chance: Floats) -> Floats:
    """Return the two-sided p-value of each statistic by itself, [sets, s]; it may exceed 1."""
    ordered = np.sort(chance, axis=0)
    columns = []
    for column in range(chance.shape[1]):
        above = len(chance) - np.searchsorted(ordered[:, column], found[:, column], side="left")
        below = np.searchsorted(ordered[:, column], found[:, column], side="right")
        columns.append(2 * (1 + np.minimum(above, below)) / (1 + len(chance)))
    return np.stack(columns, axis=1)
