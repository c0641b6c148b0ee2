"""Compares a forget set with unseen samples of the same classes, under one model.

A class is recognised better or worse than another for reasons that have nothing to do with memory. Every
forgotten sample is therefore held only against unseen samples of its own class, and the outcomes are
averaged over the forgotten samples; those whose class has no unseen sample are left out and counted.

Intervals are bootstrap intervals over both sides, with the expanded percentiles of Hesterberg ("What
teachers should know about the bootstrap", The American Statistician 2015, section 4.3), because plain ones
are too narrow for the five or twenty samples of one person.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from workers.audit.intervals import LEVEL
from workers.audit.outputs import Answers, Floats
from workers.numerics import seeding

NUM_RESAMPLES = 1000
BLOCK = 100  # resamples at a time, to bound memory
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Stratum:
    """One class on both sides: log odds of its forgotten and of its unseen samples."""

    forget: Floats
    unseen: Floats


@dataclass(frozen=True, eq=False)
class Comparison:
    """A forget set beside unseen samples of its classes.

    Attributes:
        strata: one for each class that both sides have.
        num_unmatched: forgotten samples whose class has no unseen sample.
        seed: of the bootstrap.
    """

    strata: tuple[Stratum, ...]
    num_unmatched: int
    seed: int

    @classmethod
    def of(cls, forget: Answers, unseen: Answers, seed: int) -> "Comparison":
        """Split both sides by class; at least one class must be common for an estimate."""
        common = np.intersect1d(forget.labels, unseen.labels)
        strata = tuple(
            Stratum(forget.log_odds[forget.labels == label], unseen.log_odds[unseen.labels == label])
            for label in common
        )
        return cls(strata, len(forget) - sum(len(s.forget) for s in strata), seed)

    @property
    def num_forget(self) -> int:
        """Forgotten samples that can be compared."""
        return sum(len(stratum.forget) for stratum in self.strata)

    @property
    def num_unseen(self) -> int:
        """Unseen samples they are compared with."""
        return sum(len(stratum.unseen) for stratum in self.strata)

    @property
    def sizes(self) -> str:
        """What was compared, for a reader."""
        unmatched = f" ({self.num_unmatched} without any)" if self.num_unmatched else ""
        return f"{self.num_forget} forgotten and {self.num_unseen} unseen samples of their classes{unmatched}"

    @property
    def detectable_auc(self) -> float:
        """The true AUC that an interval shows to exceed 1/2 in POWER of all cases; above 1 if none is shown.

        From the variance of the Mann-Whitney statistic when both sides are alike, 1/12 (1/n_forget +
        1/n_unseen), with the unseen part summed over classes by their weight.
        """
        if not self.strata:
            return math.inf
        weights = [len(stratum.forget) / self.num_forget for stratum in self.strata]
        parts = (w * w / len(stratum.unseen) for w, stratum in zip(weights, self.strata, strict=True))
        deviation = math.sqrt((1 / self.num_forget + sum(parts)) / 12)
        return 0.5 + float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER)) * deviation

    def auc(self) -> Estimate:
        """Return how often a forgotten sample is surer than an unseen one of its class; ties count half.

        This is the success of the membership attack that thresholds the loss (Yeom et al., CSF 2018): 1/2
        tells nothing, above it the forget set is remembered, below it it is conspicuously forgotten.
        """
        wins = [
            np.where(s.forget[:, None] == s.unseen, 0.5, s.forget[:, None] > s.unseen) for s in self.strata
        ]
        return self._estimate([np.asarray(win, dtype=np.float64) for win in wins])

    def surplus(self) -> Estimate:
        """Return by how much the log odds of forgotten samples exceed those of unseen ones of their class."""
        return self._estimate([s.forget[:, None] - s.unseen for s in self.strata])

    def _estimate(self, contrasts: list[Floats]) -> Estimate:
        """Average each class's contrasts [n_forget, n_unseen] over unseen, then over all forgotten ones."""
        value = sum(float(contrast.mean(axis=1).sum()) for contrast in contrasts) / self.num_forget
        redrawn = np.concatenate([*self._redraw(contrasts)])
        tail = _expanded_tail(self.num_forget)
        low, high = np.quantile(redrawn, [tail, 1 - tail])
        return Estimate(value, float(low), float(high))

    def _redraw(self, contrasts: list[Floats]) -> Iterator[Floats]:
        """Yield bootstrap values: forgotten samples redrawn together, unseen ones within their class."""
        random = np.random.default_rng(seeding.derive(self.seed, "comparison"))
        ends = np.cumsum([len(stratum.forget) for stratum in self.strata])[:-1]
        num_forget = self.num_forget
        for _ in range(NUM_RESAMPLES // BLOCK):
            drawn = random.multinomial(num_forget, np.full(num_forget, 1 / num_forget), size=BLOCK)
            totals = np.zeros(BLOCK)
            for counts, contrast in zip(np.split(drawn, ends, axis=1), contrasts, strict=True):
                num_unseen = contrast.shape[1]
                others = random.multinomial(num_unseen, np.full(num_unseen, 1 / num_unseen), size=BLOCK)
                totals += ((counts @ contrast) * others).sum(axis=1) / num_unseen
            yield totals / num_forget


def _expanded_tail(num_samples: int) -> float:
    """Return the tail that makes a percentile interval as wide as Student's t for this many samples."""
    if num_samples < 2:
        return 0.0
    reach = stats.t.ppf((1 + LEVEL) / 2, num_samples - 1) * math.sqrt(num_samples / (num_samples - 1))
    return float(stats.norm.sf(reach))
