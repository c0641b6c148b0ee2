"""The loss attack refuses memory and conspicuous forgetting, and says when it cannot tell."""

import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.membership import CHECK
from workers.audit.limits import Limits
from workers.audit.outputs import Pair


def run(new_centre, *, base_centre=5.0, per_class=30, limits=None, kind="samples"):
    rows, unseen_rows = made.truth(per_class), made.truth(30)
    forget = Pair(made.spread(rows, base_centre, 1), made.spread(rows, new_centre, 2))
    unseen = Pair(made.spread(unseen_rows, 3.0, 3), made.spread(unseen_rows, 3.0, 4))
    group = made.samples_group(forget) if kind == "samples" else made.class_group(forget, 0, 1, 2, 3)
    return CHECK.run(made.outputs(group, unseen, limits=limits))


@pytest.mark.parametrize("kind", ["samples", "class"])
@pytest.mark.parametrize(("new_centre", "passed"), [(3.0, True), (5.0, False), (1.0, False), (-9.0, False)])
def test_a_set_that_stands_out_on_either_side_fails(new_centre, passed, kind):
    result = run(new_centre, kind=kind)

    assert result.passed is passed and result.is_decided
    assert result.low <= result.value <= result.high


def test_a_set_that_was_hard_for_the_model_that_learned_it_is_not_conspicuous():
    assert run(1.0, base_centre=1.0).passed
    assert not run(5.0, base_centre=1.0).passed


def test_the_detail_tells_what_would_have_been_noticed():
    result = run(3.0, per_class=5)

    assert result.is_decided
    assert "20 forgotten and 120 unseen" in result.detail
    assert "0.75 would be noticed in 4 of 5 cases" in result.detail


def test_three_samples_decide_nothing_however_they_look():
    rows = [0, 1, 2]
    forget = Pair(made.answers(rows, 9.0), made.answers(rows, 9.0))
    unseen = Pair(made.spread(made.truth(18), 3.0, 3), made.spread(made.truth(18), 3.0, 4))

    result = CHECK.run(made.outputs(made.samples_group(forget), unseen))

    assert not result.is_decided and not result.passed
    assert "too few" in result.detail


def test_a_policy_may_ask_for_more_power():
    assert not run(3.0, per_class=5, limits=Limits(membership_detectable=0.7)).is_decided


def test_a_class_without_unseen_samples_is_undecided():
    forget = Pair(made.spread([0] * 30, 3.0, 1), made.spread([0] * 30, 3.0, 2))
    unseen = Pair(made.spread([1] * 30, 3.0, 3), made.spread([1] * 30, 3.0, 4))

    result = CHECK.run(made.outputs(made.class_group(forget, 0), unseen))

    assert not result.is_decided and "nothing to compare with" in result.detail
