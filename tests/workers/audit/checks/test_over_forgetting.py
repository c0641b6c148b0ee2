"""A forget set driven far below what the model never saw is refused."""

import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.over_forgetting import CHECK
from workers.audit.outputs import Pair


def run(new_odds, *, base_centre=4.0, num_samples=20):
    rows = made.truth(num_samples // 4)
    forget = Pair(made.spread(rows, base_centre, 1), made.answers(rows, new_odds))
    unseen = Pair(made.spread(made.truth(20), 3.0, 3), made.spread(made.truth(20), 3.0, 4))
    return CHECK.run(made.outputs(made.samples_group(forget), unseen))


@pytest.mark.parametrize(("new_odds", "passed"), [(3.0, True), (2.5, True), (-4.0, False), (9.0, True)])
def test_log_odds_far_below_unseen_ones_fail(new_odds, passed):
    result = run(new_odds)

    assert result.passed is passed
    assert result.value == pytest.approx(new_odds - 3.0, abs=0.5)


def test_a_quarter_driven_off_fails_although_the_rest_is_ordinary():
    assert not run([-25.0] * 8 + [3.0] * 12).passed


def test_samples_that_were_hard_before_are_not_refused_for_it():
    assert run(-1.0, base_centre=-0.8).passed


def test_without_unseen_samples_of_the_class_there_is_nothing_to_compare():
    forget = Pair(made.answers([0], 3.0), made.answers([0], 3.0))
    unseen = Pair(made.answers([1], 3.0), made.answers([1], 3.0))

    assert CHECK.run(made.outputs(made.samples_group(forget), unseen)) is None
