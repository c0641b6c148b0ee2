"""What a set of samples of this size would show if none of them had ever been learned.

A *chance set* takes for every sample one of its matches, drawn at random, in its place. Three things make it
scatter as a set of unlearned samples would:
- which matches were drawn;
- that there is a limited number of held-out rows to draw from: before the draw, rows are themselves redrawn
  with replacement (Efron, Annals of Statistics 1979), all labels of a row together. Without it, a test of two
  hundred samples against ninety controls would refuse a retrained model for the controls' luck;
- that the samples of the set belong together (`coherence`): a part of each excess, rho of its variance, is
  one draw for the whole set.
"""

from dataclasses import dataclass

import numpy as np

from workers.audit.reference.matching import Floats, Indices, Matched
from workers.numerics import seeding

NUM_POOLS, DRAWS_A_POOL = 333, 3
NUM_DRAWS = NUM_POOLS * DRAWS_A_POOL


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
    centre, spread = z.mean(axis=1), z.std(axis=1, ddof=1)
    num_rows = int(matched.rows.max()) + 1
    # 1. Other held-out rows, and of these a match in place of each sample.
    counts = random.multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=NUM_POOLS)
    drawn = np.concatenate([_drawn(own[matched.rows], random) for own in counts])  # [NUM_DRAWS, n]
    excess = z[np.arange(len(z)), drawn] - centre
    # 2. What the samples have in common.
    shared = random.standard_normal((NUM_DRAWS, 1)) * spread
    return Chance(centre, spread, np.sqrt(1 - correlation) * excess + np.sqrt(correlation) * shared)


def _drawn(counts: Indices, random: np.random.Generator) -> Indices:
    """Draw one match a sample, each as often as its row is there; [n, w] -> [DRAWS_A_POOL, n]."""
    counts = np.where(counts.any(axis=1, keepdims=True), counts, 1)
    ends = counts.cumsum(axis=1)
    wanted = random.integers(0, ends[:, -1], size=(DRAWS_A_POOL, len(ends)))
    return np.asarray((ends <= wanted[:, :, None]).sum(axis=2))
