"""Two attacks from the literature on the same bank: shown beside the test of the suite, and deciding nothing.

*U-LiRA* (Hayes, Shumailov, Triantafillou, Khalifa, Papernot, "Inexact unlearning needs more careful
evaluations to avoid a false sense of privacy", 2024, section 4): for every sample one normal distribution is
fitted to the scores of members that learned from it and one to those of members that did not; the sample is
called learned where the candidate's score is the likelier under the first. The paper fits unlearned models
against retrained ones; members that learned stand in for the former, so what is shown is whether the samples
look learned.

*RMIA* (Zarifzadeh, Liu, Shokri, "Low-cost high-power membership inference attacks", ICML 2024, equations 2
to 4): with LR(x) = p(x) / pbar(x), where p is the candidate's probability of the label and pbar its mean over
the members, half of them weighing as having learned from x and half as not, the score of x is the share of
population samples z with LR(x) > LR(z). The population are the controls with their own label. It is 1/2 on
average for what was never learned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from workers.audit.intervals import LEVEL, share_interval
from workers.audit.reference.bank import ReferenceBank
from workers.audit.reference.matching import FLOOR, Floats, Indices

LEAST = 2
"""Members on either side, for a deviation."""


@dataclass(frozen=True)
class Attack:
    """What an attack says of a set.

    Attributes:
        quantity: what `value` is.
        value: over the samples that could be attacked.
        low: end of its 95 % interval, over samples.
        high: its other end.
        base: the same of the base model, which did learn from them.
        num_samples: that could be attacked.
    """

    quantity: str
    value: float
    low: float
    high: float
    base: float
    num_samples: int


def u_lira(bank: ReferenceBank, samples: Indices, new: Floats, base: Floats) -> Attack | None:
    """Return the share of samples that look learned; None if no sample has members enough on both sides.

    Args:
        bank: with the scores.
        samples: int64 [n], indices into the bank's samples.
        new: [n], scores of the candidate.
        base: [n], of the base model.
    """
    num_in, num_out = bank.is_in[samples].sum(axis=1), (~bank.is_in[samples]).sum(axis=1)
    able = (num_in >= LEAST) & (num_out >= LEAST)
    if not able.any():
        return None
    scores, is_in = bank.scores[samples[able]].astype(np.float64), bank.is_in[samples[able]]
    learned, never = _normal(scores, is_in), _normal(scores, ~is_in)

    def num_learned(found: Floats) -> int:
        ratio = stats.norm.logpdf(found[able], *learned) - stats.norm.logpdf(found[able], *never)
        return int((ratio > 0).sum())

    total, hits = int(able.sum()), num_learned(new)
    low, high = share_interval(hits, total)
    return Attack("share called learned", hits / total, low, high, num_learned(base) / total, total)


def rmia(
    bank: ReferenceBank,
    samples: Indices,
    new: Floats,
    base: Floats,
    population: Indices,
    population_new: Floats,
    population_base: Floats,
) -> Attack | None:
    """Return the mean score; None without a population or without members.

    Args:
        bank: with the scores.
        samples: int64 [n], indices into the bank's samples.
        new: [n], scores of the candidate.
        base: [n], of the base model.
        population: int64 [m], indices into the bank's controls, those with their own label.
        population_new: [m], scores of the candidate.
        population_base: [m], of the base model.
    """
    is_in = bank.is_in[samples]
    able = is_in.any(axis=1) & ~is_in.all(axis=1)
    if not able.any() or not len(population):
        return None
    chances = special.expit(bank.scores[samples[able]].astype(np.float64))  # [n, k]
    is_in = is_in[able]
    mean_in = np.where(is_in, chances, 0.0).sum(axis=1) / is_in.sum(axis=1)
    mean_out = np.where(is_in, 0.0, chances).sum(axis=1) / (~is_in).sum(axis=1)
    usual = (mean_in + mean_out) / 2
    usual_population = special.expit(bank.control_scores[population].astype(np.float64)).mean(axis=1)

    def scores(found: Floats, of_population: Floats) -> Floats:
        ratios = np.sort(special.expit(of_population) / usual_population)
        own = special.expit(found[able]) / usual
        below = np.searchsorted(ratios, own, side="left") + np.searchsorted(ratios, own, side="right")
        return np.asarray(below / (2 * len(ratios)))  # equals count half

    found = scores(new, population_new)
    mean, total = float(found.mean()), len(found)
    reach = 1.0
    if total > 1:
        deviation = float(found.std(ddof=1)) / total**0.5
        reach = float(stats.t.ppf((1 + LEVEL) / 2, total - 1)) * deviation
    value_of_base = float(scores(base, population_base).mean())
    return Attack("mean score", mean, max(0.0, mean - reach), min(1.0, mean + reach), value_of_base, total)


def _normal(scores: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return mean and floored deviation of the chosen scores of each row; [n, k] -> [n], [n]."""
    total = chosen.sum(axis=1)
    mean = np.where(chosen, scores, 0.0).sum(axis=1) / total
    apart = np.where(chosen, scores - mean[:, None], 0.0)
    return mean, np.sqrt((apart**2).sum(axis=1) / (total - 1)) + FLOOR
