"""Whether forgotten samples belong together: what a model thinks of one, it thinks of the others.

Eleven photographs of one person are not eleven independent samples: a model that is surer than usual about
one is surer about all, so their mean scatters more than that of eleven strangers, and a test that takes them
for strangers refuses retrained models. Kish's design effect (Survey Sampling, 1965, section 5.4) says by how
much: with a mean correlation rho between the members of a set, the variance of a mean of n grows from 1/n to
1/n + rho (n - 1)/n. Here rho is taken over pairs of samples (i, j) and the members that saw neither, from how
far a member is from the others about i and about j, less what it usually is off for their matches.

There is a second trouble with such a set. In halves that are dealt sample by sample, a member that never saw
sample i saw about half of the others of its kind, and a model retrained without all of them saw none. It is
less sure of them than the members are, and no control shows that. So a set that coheres, before a bank whose
members knew the others, can be refused as remembered and cannot be cleared, nor refused as driven off. Where
a person's samples are dealt together, the members knew none of the others.
"""

from dataclasses import dataclass

import numpy as np

from workers.audit.reference.matching import Floats, Matched
from workers.numerics import seeding

NUM_DRAWS = 199
VISIBLE, SURELY = 0.1, 0.02
"""A set coheres if its correlation is at least the first, and at most the second share of chance sets of its
size come to as much. Four samples or five cannot show it; what they have in common widens the test alone."""

FEW = 0.1
"""Of the other samples of the set; members that knew no more do not disturb."""


@dataclass(frozen=True)
class Coherence:
    """How a set of samples belongs together.

    Attributes:
        correlation: rho, at least 0.
        p_value: share of sets with independent samples that have as high a correlation by chance.
        known: share of the other samples that members which never saw a sample learned from, on average.
    """

    correlation: float
    p_value: float
    known: float

    @property
    def is_disturbing(self) -> bool:
        """Whether the members are no reference for a model that saw none of the set."""
        return self.correlation >= VISIBLE and self.p_value <= SURELY and self.known > FEW


def measure(matched: Matched, seed: int) -> Coherence:
    """Return how the samples belong together; a single one does not.

    Chance sets are made by turning the signs of each sample's deviations at random, all of a sample's
    together: that leaves what each sample is like and takes away what they have in common.

    Args:
        matched: the samples.
        seed: of the chance sets.
    """
    if len(matched) < 2:
        return Coherence(0.0, 1.0, 0.0)
    out = ~matched.is_in
    off = np.where(out, matched.member_excess, 0.0)
    off = np.where(out, off - off.sum(1, keepdims=True) / out.sum(1, keepdims=True), 0.0)
    size = np.sqrt((off**2).sum(axis=1, keepdims=True) / out.sum(axis=1, keepdims=True))
    off = off / np.maximum(size, np.finfo(np.float64).tiny)  # [n, k]
    num_pairs = float((out.sum(axis=0) * (out.sum(axis=0) - 1)).sum())
    own = (off**2).sum()

    def correlation(signs: Floats) -> Floats:  # [draws, n] -> [draws]
        return np.asarray((((signs @ off) ** 2).sum(axis=1) - own) / max(num_pairs, 1.0))

    random = np.random.default_rng(seeding.derive(seed, "coherence"))
    found = float(correlation(np.ones((1, len(matched))))[0])
    chance = correlation(random.choice((-1.0, 1.0), size=(NUM_DRAWS, len(matched))))
    others = (matched.is_in.sum(axis=0) - matched.is_in) / (len(matched) - 1)  # [n, k]
    return Coherence(
        correlation=float(np.clip(found, 0.0, 1.0)),
        p_value=float((1 + (chance >= found).sum()) / (1 + NUM_DRAWS)),
        known=float((others * out).sum() / out.sum()),
    )
