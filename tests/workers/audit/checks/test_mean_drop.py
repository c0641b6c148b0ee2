"""The loss over kept classes counts when it is large and real."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.mean_drop import CHECK
from workers.audit.outputs import Pair


def losing(num_lost, num_won, num_samples):
    place = np.arange(num_samples)
    base = np.where(place < num_lost, 4.0, np.where(place < num_lost + num_won, -4.0, 4.0))
    new = np.where(place < num_lost, -4.0, 4.0)
    rows = [0] * num_samples
    return Pair(made.answers(rows, base), made.answers(rows, new))


def run(unseen, **changes):
    return CHECK.run(made.outputs(made.samples_group(unseen), unseen, **changes))


@pytest.mark.parametrize(
    ("num_lost", "num_won", "num_samples", "passed"),
    [
        (0, 0, 160, True),
        (3, 0, 160, True),  # 1.9 points
        (6, 2, 160, True),  # 2.5 points, as two retrainings differ
        (9, 0, 160, False),  # 5.6 points
        (105, 0, 5000, False),  # 2.1 points on many samples
        (95, 0, 5000, True),  # 1.9 points on many samples
    ],
)
def test_a_drop_fails_when_it_is_above_the_limit_and_not_chance(num_lost, num_won, num_samples, passed):
    result = run(losing(num_lost, num_won, num_samples))

    assert result.passed is passed
    assert result.value == pytest.approx((num_lost - num_won) / num_samples)
    assert result.low <= result.value <= result.high


def test_forgotten_classes_do_not_count():
    assert run(losing(50, 0, 160), earlier=(0,)).is_decided is False


def test_without_unseen_samples_nothing_is_decided():
    empty = Pair(made.answers([], 0.0), made.answers([], 0.0))

    result = run(empty)

    assert not result.passed and not result.is_decided
    assert "holdout split" in result.detail
