"""Whether what was forgotten can be told from what a retrained model never saw, sample by sample.

A per-example attack in the manner of U-LiRA (Hayes et al., 2024), with few models: each forgotten sample's
log odds are held against the mean of the reference retrainings on this very sample, and these differences of
candidates against those of gold retrainings, over samples and seeds. Populations that look alike in the mean
come apart here, if they differ in any direction; a half is the best a method can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from workers.numerics import seeding

NUM_RESAMPLES = 1000
LEVEL = 0.95

Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """The attack's AUC, at least a half, and its interval over forgotten samples."""

    value: float
    low: float
    high: float


def told(candidates: Sequence[Grid], golds: Sequence[Grid], references: Sequence[Grid]) -> Told:
    """Return how well candidates are told from golds.

    Args:
        candidates: log odds of the label on the forgotten samples, float64 [n], one array a seed.
        golds: the same of models retrained without them.
        references: the same of other such models.

    Returns:
        AUC of the attack that decides for the better direction; percentile bootstrap over samples.
    """
    centre = np.mean(references, axis=0)
    ours, theirs = np.stack(candidates) - centre, np.stack(golds) - centre  # [seeds, n]
    random = np.random.default_rng(seeding.derive(0, "told"))
    num_samples = ours.shape[1]
    redrawn = [
        _auc(ours[:, chosen], theirs[:, chosen])
        for chosen in random.integers(0, num_samples, (NUM_RESAMPLES, num_samples))
    ]
    value = _auc(ours, theirs)
    low, high = np.quantile(redrawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if value < 0.5:
        value, low, high = 1 - value, 1 - high, 1 - low
    return Told(value, float(low), float(high))


def _auc(ours: Grid, theirs: Grid) -> float:
    """Return the probability that one of ours exceeds one of theirs, ties counting half."""
    ranks = rankdata(np.concatenate([ours.ravel(), theirs.ravel()]))
    num_ours, num_theirs = ours.size, theirs.size
    return float((ranks[:num_ours].sum() - num_ours * (num_ours + 1) / 2) / (num_ours * num_theirs))
