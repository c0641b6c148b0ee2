"""What a set of samples of this size would show if none of them had ever been learned.

A *chance set* takes for every sample one of its matches, drawn at random, in its place. Three things make it
scatter as a set of unlearned samples would:
- which matches were drawn;
- that the matches' mean, which the excess is counted from, rests on a limited number of held-out rows: rows
  are redrawn with replacement (Efron, Annals of Statistics 1979), all labels of a row together. Without it, a
  test of two hundred samples against ninety controls would refuse a retrained model for the controls' luck;
- that the samples of the set belong together (`coherence`): a part of each excess, rho of its variance, is
  one draw for the whole set.
"""

from dataclasses import dataclass

import numpy as np

from workers.audit.reference.matching import Floats, Matched
from workers.numerics import seeding

NUM_DRAWS = 999
NUM_POOLS = 100
"""Redrawn pools of held-out rows; each serves every NUM_POOLS-th chance set."""


@dataclass(frozen=True, eq=False)
class Chance:
    """What controls say under one candidate.

    Attributes:
        centre: [n], mean z of each sample's matches: what z counts from.
        spread: [n], their standard deviation.
        excess: [NUM_DRAWS, n], of chance sets.
    """

    centre: Floats
    spread: Floats
    excess: Floats


def draw(matched: Matched, control_scores: Floats, correlation: float, seed: int) -> Chance:
    """Draw chance sets.

    Args:
        matched: the samples with their matches.
        control_scores: [m], what the candidate says of the controls that matches were chosen from.
        correlation: rho of the samples, in [0, 1].
        seed: of all draws.
    """
    random = np.random.default_rng(seeding.derive(seed, "chance"))
    z = matched.control_z(control_scores)  # [n, w]
    num_samples, width = z.shape
    centre = z.mean(axis=1)
    spread = z.std(axis=1, ddof=1)
    # 1. The centre as it would be with other held-out rows.
    num_rows = int(matched.rows.max()) + 1
    counts = random.multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=NUM_POOLS)
    centres = np.stack([_weighted_mean(z, own[matched.rows], centre) for own in counts])  # [pools, n]
    # 2. A match in place of each sample.
    drawn = random.integers(0, width, size=(NUM_DRAWS, num_samples))
    excess = z[np.arange(num_samples), drawn] - centres[np.arange(NUM_DRAWS) % NUM_POOLS]
    # 3. What the samples have in common.
    shared = random.standard_normal((NUM_DRAWS, 1)) * spread
    return Chance(centre, spread, np.sqrt(1 - correlation) * excess + np.sqrt(correlation) * shared)


def _weighted_mean(z: Floats, counts: Floats, otherwise: Floats) -> Floats:
    """Return the mean of each sample's matches, each as often as its row was drawn; [n, w], [n, w] -> [n]."""
    total = counts.sum(axis=1)
    return np.where(total > 0, (z * counts).sum(axis=1) / np.maximum(total, 1), otherwise)
