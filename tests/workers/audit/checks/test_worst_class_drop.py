"""One ruined class is found behind a good mean, and small classes do not flap."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.worst_class_drop import CHECK
from workers.audit.outputs import Pair


def losing(num_lost, per_class, label=3):
    rows = made.truth(per_class)
    is_lost = (rows == label) & (np.arange(len(rows)) - label * per_class < num_lost)
    return Pair(made.answers(rows, 4.0), made.answers(rows, np.where(is_lost, -4.0, 4.0)))


def run(unseen, **changes):
    return CHECK.run(made.outputs(made.samples_group(unseen), unseen, **changes))


@pytest.mark.parametrize(
    ("num_lost", "per_class", "passed"),
    [(4, 18, True), (5, 18, False), (5, 36, True), (6, 36, False), (14, 100, True), (16, 100, False)],
)
def test_a_class_fails_when_its_loss_is_above_the_limit_and_not_chance(num_lost, per_class, passed):
    result = run(losing(num_lost, per_class))

    assert result.passed is passed
    assert result.value == pytest.approx(num_lost / per_class)
    assert result.detail.startswith(f"class 3: {num_lost} answers lost and 0 won on {per_class}")


def test_a_forgotten_class_may_lose_everything():
    result = run(losing(18, 18), earlier=(3,))

    assert result.passed and result.value == 0.0
