"""The competition's score: epsilons put into buckets, times what the models kept of their accuracy.

Triantafillou et al. (2024): a sample in bucket n, n = 1 + floor(epsilon / 0.5), has H = 2 / 2^n
points, 1 in the first bucket and half as many in each that follows; an epsilon of ceil(ln(N - 1)) or more,
the most that N models a side can show by counting, has none. The *forgetting score* F is the mean of H over
the forget set, and

    score = F x (RA_unlearned / RA_retrained) x (TA_unlearned / TA_retrained)

with the mean accuracies on retained and on test samples. Perfect unlearning does not reach 1, for epsilon is
above zero by chance: F is then about 0.17 on normal scores. Read F beside `null`.
"""

import math

import numpy as np

from workers.audit.competition.rates import Floats
from workers.audit.errors import AuditError

BUCKET = 0.5
FEWEST_MODELS = 3  # with two, the buckets end before they begin


def points(epsilons: Floats, num_models: int) -> Floats:
    """Return H of each sample; [samples] -> [samples], in [0, 1].

    Args:
        epsilons: at least 0.
        num_models: a side.

    Raises:
        AuditError: there are fewer than three models a side.
    """
    if num_models < FEWEST_MODELS:
        raise AuditError(f"expected at least {FEWEST_MODELS} models a side, got {num_models}: train more")
    beyond = math.ceil(math.log(num_models - 1))
    bucket = 1 + np.floor(epsilons / BUCKET)
    return np.where(epsilons < beyond, 2.0 / 2.0**bucket, 0.0)


def forgetting_score(epsilons: Floats, num_models: int) -> float:
    """Return F, the mean of H; arguments and errors as for `points`."""
    return float(points(epsilons, num_models).mean())


def final_score(forgetting: float, retained_ratio: float, test_ratio: float) -> float:
    """Return F times both ratios of mean accuracies, unlearned to retrained."""
    return forgetting * retained_ratio * test_ratio
