"""One p-value for three statistics keeps its level, and sees what each of them sees."""

import numpy as np
import pytest

from workers.audit.reference import ranks


def chance(draws=999, n=11):
    return np.random.default_rng(2).standard_normal((draws, n))


def p_of(excess, weights=None):
    weights = np.ones(11) if weights is None else weights
    return ranks.p_values(
        ranks.statistics(np.atleast_2d(excess), weights), ranks.statistics(chance(), weights)
    )


def test_the_statistics_are_mean_weighted_mean_and_scatter():
    found = ranks.statistics(np.array([[1.0, -3.0]]), np.array([3.0, 1.0]))

    assert found.tolist() == [[-1.0, 0.0, 2.0]]


def test_sets_that_are_like_chance_are_refused_one_time_in_twenty():
    found = p_of(np.random.default_rng(1).standard_normal((4000, 11)))

    assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize(
    "excess",
    [
        np.full(11, 1.2),
        np.full(11, -1.2),
        np.array([4.0, -4.0] * 5 + [0.0]),
        np.array([0.01, -0.01] * 5 + [0.0]),
    ],
    ids=["remembered", "driven off", "some of either", "too usual"],
)
def test_what_is_unlike_chance_on_any_side_is_refused(excess):
    assert p_of(excess)[0] < 0.02


def test_weights_find_memory_in_the_few_samples_where_it_shows():
    excess = np.array([3.2, 2.8] + [-0.1] * 9)

    weighed = p_of(excess, np.array([1.0, 1.0] + [0.02] * 9))[0]

    assert weighed < 0.01 < p_of(excess[::-1], np.array([1.0, 1.0] + [0.02] * 9))[0]


def test_no_p_value_is_smaller_than_the_draws_can_tell():
    assert p_of(np.full(11, 1e6))[0] == pytest.approx(1 / 1000)
