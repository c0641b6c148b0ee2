"""U-LiRA: can a likelihood ratio, fitted sample by sample, tell an unlearned model from a retrained one?

"Inexact unlearning needs more careful evaluations to avoid a false sense of privacy" (Hayes, Shumailov,
Triantafillou, Khalifa, Papernot; 2024), section 4: for each forgotten sample a normal distribution is fitted
to the scores of unlearned models and one to those of retrained models; a further model is called unlearned
where the first is the likelier. Here half of the models on either side are fitted and the other half judged,
so that the accuracy on identical distributions is one half, and each side counts the same.

Vocabulary. *Scores* are [models, samples]. The *accuracy* of a sample is the mean of the two sides' shares
judged rightly. The *joint* attack adds up the log ratios of all samples and judges the whole set at once: it
is far stronger, and no published bar speaks of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.numerics import seeding

Scores = NDArray[np.float64]

NUM_SPLITS = 40
NUM_RESAMPLES = 200
LEVEL = 0.95
FLOOR = 1e-3  # of a standard deviation, in units of the pooled one
NEVER_NONE = 1e-9  # weight of a model that was not drawn: a half of such models alone still has a mean


@dataclass(frozen=True)
class Attack:
    """How well an attack does.

    Attributes:
        mean: accuracy, over the samples.
        low: end of the 95 % interval of `mean`, by redrawing models.
        high: its other end.
        highest: accuracy on the sample that it does best on.
        joint: accuracy of the joint attack.
        num_unlearned: models on the one side.
        num_retrained: on the other.
    """

    mean: float
    low: float
    high: float
    highest: float
    joint: float
    num_unlearned: int
    num_retrained: int


def attack(unlearned: Scores, retrained: Scores, seed: int = 0) -> Attack:
    """Judge held-out models by distributions fitted to the others.

    The interval is the percentile bootstrap over models (Efron 1979), both sides redrawn; copies of one
    model stay on one side of the split, or the fit would know what it judges.

    Args:
        unlearned: scores of at least four models, [u, samples].
        retrained: of models that never saw the samples, [r, samples].
        seed: of the splits and the bootstrap.
    """
    random = np.random.default_rng(seeding.derive(seed, "ulira"))
    rounds = [_judged(unlearned, retrained, random) for _ in range(NUM_SPLITS)]
    single = np.mean([each for each, _ in rounds], axis=0)  # [samples]
    redrawn = [_judged(unlearned, retrained, random, is_redrawn=True)[0].mean() for _ in range(NUM_RESAMPLES)]
    low, high = np.quantile(redrawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Attack(
        mean=float(single.mean()),
        low=float(low),
        high=float(high),
        highest=float(single.max()),
        joint=float(np.mean([joint for _, joint in rounds])),
        num_unlearned=len(unlearned),
        num_retrained=len(retrained),
    )


def _judged(
    unlearned: Scores, retrained: Scores, random: np.random.Generator, *, is_redrawn: bool = False
) -> tuple[Scores, float]:
    """Split, fit both halves, judge by each the other; return accuracies [samples] and the joint one."""
    single, joint = [], []
    sides = [(scores, _weights(len(scores), random, is_redrawn)) for scores in (unlearned, retrained)]
    halves = [_halves(len(scores), random) for scores, _ in sides]
    pooled = np.concatenate([unlearned, retrained]).std(0)
    for fitted, judged in ((0, 1), (1, 0)):
        first, second = (
            _normal(scores[half[fitted]], weights[half[fitted]], pooled)
            for (scores, weights), half in zip(sides, halves, strict=True)
        )
        for (scores, weights), half, sign in zip(sides, halves, (1, -1), strict=True):
            given = scores[half[judged]]
            ratio = sign * (_log_density(given, *first) - _log_density(given, *second))
            single.append(np.average(_right(ratio), axis=0, weights=weights[half[judged]]))
            joint.append(np.average(_right(ratio.sum(1)), weights=weights[half[judged]]))
    return np.asarray(np.mean(single, axis=0)), float(np.mean(joint))


def _weights(size: int, random: np.random.Generator, is_redrawn: bool) -> Scores:
    """Return how often each model counts: once, or as often as it is drawn."""
    if not is_redrawn:
        return np.ones(size)
    return np.asarray(np.bincount(random.integers(size, size=size), minlength=size) + NEVER_NONE)


def _halves(size: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = random.permutation(size)
    return order[: size // 2], order[size // 2 :]


def _normal(scores: Scores, weights: Scores, pooled: Scores) -> tuple[Scores, Scores]:
    """Return mean and standard deviation of each sample, [samples]; the deviation is floored."""
    mean = np.average(scores, axis=0, weights=weights)
    total = max(float(weights.sum()) - 1, 1.0)
    deviation = np.sqrt((weights[:, None] * (scores - mean) ** 2).sum(0) / total)
    return mean, np.maximum(deviation, FLOOR * pooled + np.finfo(float).tiny)


def _log_density(scores: Scores, mean: Scores, deviation: Scores) -> Scores:
    return np.asarray(-np.log(deviation) - ((scores - mean) / deviation) ** 2 / 2)


def _right(ratio: Scores) -> Scores:
    """Return 1 where the ratio is for the truth, a half where it is silent."""
    return np.asarray((ratio > 0) + 0.5 * (ratio == 0))
