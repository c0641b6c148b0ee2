"""Epsilon over all attacks: as brute force finds it, as the competition's grid does, and what is certain."""

import numpy as np
import pytest

from tests.oracles import competition as oracle
from workers.audit.competition.epsilon import CEILING, certified, epsilons
from workers.audit.errors import AuditError


def normal(num_models, num_samples=1, shift=0.0, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(shift, scale, (num_models, num_samples))


@pytest.mark.parametrize("shift", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_all_attacks_are_found_that_brute_force_finds(shift, scale):
    ours, theirs = normal(7, 4, shift, scale, seed=1), normal(7, 4, seed=2)

    found = epsilons(ours, theirs)

    expected = [oracle.epsilon(a.tolist(), b.tolist()) for a, b in zip(ours.T, theirs.T, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_scores_that_occur_again_and_again_are_no_exception():
    ours = np.round(normal(9, 6, 0.5, seed=3) * 2) / 2
    theirs = np.round(normal(9, 6, seed=4) * 2) / 2

    found = epsilons(ours, theirs)

    expected = [oracle.epsilon(a.tolist(), b.tolist()) for a, b in zip(ours.T, theirs.T, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nothing_is_missed_that_a_grid_of_a_hundredth_finds():
    ours, theirs = normal(6, 2, 0.4, seed=5), normal(6, 2, seed=6)

    found = epsilons(ours, theirs)

    on_grid = [oracle.on_grid(a.tolist(), b.tolist()) for a, b in zip(ours.T, theirs.T, strict=True)]
    assert (found >= np.array(on_grid) - 1e-12).all()


def test_the_sides_may_be_exchanged():
    ours, theirs = normal(12, 5, 0.8, 2.0, seed=7), normal(12, 5, seed=8)

    np.testing.assert_array_equal(epsilons(ours, theirs), epsilons(theirs, ours))


def test_models_that_are_told_without_error_have_the_ceiling():
    assert epsilons(normal(8, shift=20.0), normal(8, seed=1)).tolist() == [CEILING]


def test_scores_that_hardly_vary_against_the_others_are_told():
    constant = np.full((8, 1), 0.5) + 1e-4 * normal(8)

    assert epsilons(constant, normal(8, seed=1)).tolist() == [CEILING]


def test_equal_constants_tell_nothing():
    assert epsilons(np.ones((8, 2)), np.ones((8, 2))).tolist() == [0.0, 0.0]


def test_a_single_lucky_model_does_not_show_infinity():
    ours = np.array([[0.0], [1.0], [2.0], [9.0]])
    theirs = np.array([[0.1], [1.1], [2.1], [2.2]])

    assert epsilons(ours, theirs)[0] < CEILING


@pytest.mark.parametrize(("shift", "expected"), [(0.0, 1.55), (0.5, 2.01), (1.0, 2.70), (2.0, 3.60)])
def test_normal_scores_have_the_epsilons_that_were_measured_with_the_published_grid(shift, expected):
    found = epsilons(normal(64, 200, shift, seed=9), normal(64, 200, seed=10))

    # 24 samples were measured: their mean's standard error is about 0.15, ours 0.05.
    assert found.mean() == pytest.approx(expected, abs=0.3)


def test_what_is_certain_of_models_told_apart_is_what_half_of_them_allow():
    assert certified(normal(64, shift=50.0), normal(64, seed=1))[0] == pytest.approx(2.10, abs=0.006)


def test_little_is_certain_of_models_that_are_alike():
    found = certified(normal(64, 200, seed=11), normal(64, 200, seed=12))

    # Each bound fails in one of twenty cases at most; this is four deviations above.
    assert (found > 0).mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)


def test_what_is_certain_lies_below_what_is_estimated_on_average():
    ours, theirs = normal(32, 50, 1.0, seed=13), normal(32, 50, seed=14)

    assert certified(ours, theirs).mean() < epsilons(ours, theirs).mean()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(np.zeros((8, 2)), np.zeros((7, 2))), (np.zeros((8, 2)), np.zeros((8, 3))), (np.zeros(8), np.zeros(8))],
)
def test_sides_that_do_not_fit_are_refused(ours, theirs):
    with pytest.raises(AuditError, match="as many unlearned as retrained"):
        epsilons(ours, theirs)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(AuditError, match="finite scores"):
        epsilons(np.array([[np.nan], [0.0]]), np.zeros((2, 1)))
