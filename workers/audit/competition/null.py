"""Epsilon and forgetting score beside what retrained models get against each other: the null.

Both numbers depend on how many models there are and on the shape of the scores, so neither says anything by
itself. Here 2N retrained models are split at random, again and again: one half is held against the N
unlearned ones, and the other half against the same first half. What the unlearned have more than these is the
*excess*; what share of their forgetting score they have is the *share*.

Intervals are percentile intervals (Efron 1979) of splits and samples redrawn together. They cover which
samples were forgotten and which models were retrained; which models were unlearned, only in so far as a
sample's luck with them is its own.
"""

from dataclasses import dataclass

import numpy as np

from workers.audit.comparison import Estimate
from workers.audit.competition.epsilon import epsilons
from workers.audit.competition.rates import Floats
from workers.audit.competition.score import points
from workers.audit.errors import AuditError
from workers.audit.intervals import LEVEL
from workers.numerics import seeding

NUM_SPLITS = 20
NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Standing:
    """Where unlearned models stand.

    Attributes:
        num_models: a side.
        epsilon: mean over samples and splits.
        null_epsilon: the same of retrained models.
        excess: epsilon less null_epsilon.
        forgetting: the score F.
        null_forgetting: the same of retrained models.
        share: forgetting / null_forgetting; 0 of a null without points.
    """

    num_models: int
    epsilon: float
    null_epsilon: float
    excess: Estimate
    forgetting: float
    null_forgetting: float
    share: Estimate


def standing(unlearned: Floats, retrained: Floats, seed: int = 0) -> Standing:
    """Hold unlearned models against retrained ones, and these against each other.

    Args:
        unlearned: scores of n models, [n, samples].
        retrained: of at least 2n models that never saw the samples.
        seed: of splits and resamples.

    Raises:
        AuditError: there are too few models, or a score is not finite.
    """
    num_models, num_samples = unlearned.shape
    if len(retrained) < 2 * num_models:
        raise AuditError(
            f"expected twice as many retrained models as the {num_models} unlearned, got {len(retrained)}: "
            "train more, or leave unlearned ones out"
        )
    random = np.random.default_rng(seeding.derive(seed, "null"))
    ours, theirs = np.empty((2, NUM_SPLITS, num_samples))
    for number in range(NUM_SPLITS):
        order = random.permutation(len(retrained))
        held = retrained[order[:num_models]]
        ours[number] = epsilons(unlearned, held)
        theirs[number] = epsilons(retrained[order[num_models : 2 * num_models]], held)
    excess = ours - theirs  # [splits, samples]
    scored, null = points(ours, num_models), points(theirs, num_models)

    splits = random.integers(NUM_SPLITS, size=(NUM_RESAMPLES, 1))
    samples = random.integers(num_samples, size=(NUM_RESAMPLES, num_samples))
    redrawn = _share(scored[splits, samples].mean(1), null[splits, samples].mean(1))
    return Standing(
        num_models=num_models,
        epsilon=float(ours.mean()),
        null_epsilon=float(theirs.mean()),
        excess=_estimate(float(excess.mean()), excess[splits, samples].mean(1)),
        forgetting=float(scored.mean()),
        null_forgetting=float(null.mean()),
        share=_estimate(float(_share(scored.mean(keepdims=True), null.mean(keepdims=True)).item()), redrawn),
    )


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _estimate(value: float, redrawn: Floats) -> Estimate:
    low, high = np.quantile(redrawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
