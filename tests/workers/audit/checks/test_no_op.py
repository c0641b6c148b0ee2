"""Doing nothing is noticed, down to rounding."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.no_op import CHECK
from workers.audit.outputs import Answers, Pair, WeightFacts

BASE = made.spread(made.truth(10), 3.0, seed=1)


def moved_by(share):
    noise = np.random.default_rng(2).normal(size=BASE.logits.shape)
    size = np.sqrt(np.mean(BASE.logits**2))
    return Pair(BASE, Answers(BASE.logits + share * size * noise, BASE.labels))


def run(pair, num_changed=40):
    facts = WeightFacts(num_values=100, num_changed=num_changed, num_non_finite=0)
    return CHECK.run(made.outputs(made.samples_group(pair), pair, weights=facts))


def test_equal_weights_fail_at_once():
    result = run(moved_by(0.5), num_changed=0)

    assert not result.passed and result.value == 0.0
    assert "0 of 100 weights differ" in result.detail


@pytest.mark.parametrize(("share", "passed"), [(1e-6, False), (3e-4, False), (3e-3, True), (0.5, True)])
def test_movement_counts_from_a_thousand_times_rounding_on(share, passed):
    result = run(moved_by(share))

    assert result.passed is passed
    assert result.value == pytest.approx(share, rel=0.3)
