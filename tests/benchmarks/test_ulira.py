"""The attack finds what differs, and nothing where nothing does."""

import numpy as np
import pytest

from benchmarks.ulira import attack

NUM_MODELS, NUM_SAMPLES = 48, 6


def scores(seed, mean=0.0, deviation=1.0, num_models=NUM_MODELS):
    drawn = np.random.default_rng(seed).normal(size=(num_models, NUM_SAMPLES))
    return mean + deviation * drawn


def test_models_of_one_kind_cannot_be_told_apart():
    found = attack(scores(0), scores(1, num_models=2 * NUM_MODELS))

    assert found.mean == pytest.approx(0.5, abs=0.05)
    assert found.low < 0.5 < found.high


def test_models_far_apart_are_always_told_apart():
    found = attack(scores(0, mean=20.0), scores(1))

    assert found.mean == found.highest == found.joint == 1.0


def test_a_shift_of_one_deviation_gives_the_accuracy_that_theory_says():
    found = attack(scores(0, mean=1.0), scores(1))

    assert found.mean == pytest.approx(0.691, abs=0.05)  # the normal distribution function at one half
    assert found.low < 0.691 < found.high
    assert found.joint > found.mean


def test_a_spread_alone_betrays():
    found = attack(scores(0, deviation=5.0), scores(1))

    assert found.mean > 0.75


def test_one_sample_that_differs_is_the_highest():
    ours = scores(0)
    ours[:, 2] += 20.0

    found = attack(ours, scores(1))

    assert found.highest == 1.0
    assert found.mean < 0.7


def test_models_that_all_say_the_same_are_a_coin_toss():
    found = attack(np.ones((8, 2)), np.ones((8, 2)))

    assert found.mean == found.joint == 0.5


def test_the_same_seed_gives_the_same_attack():
    assert attack(scores(0), scores(1), seed=3) == attack(scores(0), scores(1), seed=3)
