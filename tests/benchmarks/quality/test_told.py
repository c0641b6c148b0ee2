"""The per-example attack finds what differs sample by sample, and nothing where there is nothing."""

import numpy as np
import pytest

from benchmarks.quality.told import told

NUM_SAMPLES, NUM_SEEDS = 40, 4


def scores(seed, shift=0.0, spread=1.0):
    """Return log odds around a level of each sample's own, one array a seed."""
    random = np.random.default_rng(seed)
    levels = np.random.default_rng(0).normal(0, 20, NUM_SAMPLES)
    return [levels + shift + spread * random.normal(size=NUM_SAMPLES) for _ in range(NUM_SEEDS)]


def test_retrained_models_are_not_told_from_retrained_models():
    found = told(scores(1), scores(2), scores(3))

    assert found.low <= 0.5 <= found.value < 0.6


@pytest.mark.parametrize("shift", [-3.0, 3.0])
def test_a_shift_in_either_direction_is_found_under_samples_that_differ_far_more(shift):
    found = told(scores(1, shift), scores(2), scores(3))

    assert 0.95 < found.low <= found.value <= found.high <= 1.0


def test_candidates_equal_to_gold_are_exactly_as_likely():
    golds = scores(2)

    assert told(golds, golds, scores(3)).value == 0.5
