"""Intervals and tests of counts against published or hand-computed values."""

import pytest
from scipy import stats

from workers.audit.intervals import drop_interval, drop_probability, share_interval


def test_no_hit_in_eighteen_leaves_room_for_a_sixth():
    low, high = share_interval(0, 18)

    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 18))


def test_a_share_interval_is_that_of_the_exact_binomial():
    expected = stats.binomtest(7, 40).proportion_ci(method="exact")

    assert share_interval(7, 40) == pytest.approx((expected.low, expected.high))


def test_no_samples_say_nothing():
    assert share_interval(0, 0) == (0.0, 1.0)


def test_a_drop_interval_holds_the_drop_and_narrows_with_samples():
    low, high = drop_interval(8, 2, 100)
    narrow_low, narrow_high = drop_interval(80, 20, 1000)

    assert low < 0.06 < high
    assert narrow_high - narrow_low < (high - low) / 2


def test_nothing_changed_is_no_drop_but_no_certainty_either():
    low, high = drop_interval(0, 0, 50)

    assert low == -high and 0 < high < 0.05


@pytest.mark.parametrize(
    ("num_lost", "num_won", "expected"), [(0, 0, 1.0), (5, 0, 1 / 32), (4, 0, 1 / 16), (2, 2, 11 / 16)]
)
def test_a_drop_is_as_likely_as_that_many_heads(num_lost, num_won, expected):
    assert drop_probability(num_lost, num_won) == pytest.approx(expected)
