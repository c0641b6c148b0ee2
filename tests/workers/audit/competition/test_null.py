"""Unlearned models beside what retrained ones get against each other."""

import numpy as np
import pytest

from workers.audit.competition.null import standing
from workers.audit.errors import AuditError

NUM_MODELS, NUM_SAMPLES = 24, 15


def normal(num_models, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1.0, (num_models, NUM_SAMPLES))


def test_models_like_the_retrained_have_no_excess_and_the_whole_score():
    found = standing(normal(NUM_MODELS, seed=1), normal(2 * NUM_MODELS, seed=2))

    assert found.excess.low < 0 < found.excess.high
    assert found.share.low < 1 < found.share.high
    assert found.null_epsilon == pytest.approx(1.6, abs=0.3)


def test_models_unlike_the_retrained_surely_exceed_the_null():
    found = standing(normal(NUM_MODELS, shift=1.5, seed=1), normal(2 * NUM_MODELS, seed=2))

    assert found.excess.low > 0.5
    assert found.share.high < 0.5


def test_models_that_are_told_without_error_have_no_score():
    found = standing(normal(NUM_MODELS, shift=90.0, seed=1), normal(2 * NUM_MODELS, seed=2))

    assert (found.epsilon, found.forgetting, found.share.value) == (50.0, 0.0, 0.0)


def test_the_same_models_have_the_same_standing():
    ours, theirs = normal(NUM_MODELS, seed=1), normal(2 * NUM_MODELS, seed=2)

    assert standing(ours, theirs, seed=3) == standing(ours, theirs, seed=3)


def test_too_few_retrained_models_are_refused():
    with pytest.raises(AuditError, match="twice as many retrained models as the 24"):
        standing(normal(NUM_MODELS), normal(2 * NUM_MODELS - 1))
