"""Chance sets scatter as sets of unlearned samples do."""

import numpy as np
import pytest

from tests.fixtures import reference_banks
from workers.audit.reference import chance, matching


def drawn(rows, *, correlation=0.0, num_rows=100):
    made = reference_banks.world(num_rows=num_rows)
    matched = matching.match(made.bank, np.asarray(rows), np.arange(4 * num_rows))
    return matched, chance.draw(matched, made.says(0, rows).controls, correlation, seed=0)


def test_the_centre_is_the_mean_of_the_matches():
    made = reference_banks.world()
    matched, found = drawn([3])

    assert found.centre[0] == pytest.approx(matched.control_z(made.says(0, [3]).controls)[0].mean())
    assert found.excess.shape == (chance.NUM_DRAWS, 1)


def test_a_mean_of_many_scatters_no_less_than_its_controls_allow():
    _, few = drawn(np.arange(10))
    _, many = drawn(np.arange(300), num_rows=30)

    by_samples_alone = many.spread.mean() / np.sqrt(300)
    assert many.excess.mean(axis=1).std() > 1.3 * by_samples_alone
    assert few.excess.mean(axis=1).std() == pytest.approx(few.spread.mean() / np.sqrt(10), rel=0.2)


def test_samples_that_belong_together_scatter_together():
    _, found = drawn(np.arange(50), correlation=0.5)

    assert found.excess.mean(axis=1).std() == pytest.approx(found.spread.mean() * np.sqrt(0.5), rel=0.15)
    assert found.excess.std() == pytest.approx(found.spread.mean(), rel=0.15)


def test_the_same_seed_draws_the_same_sets():
    assert (drawn([1, 2])[1].excess == drawn([1, 2])[1].excess).all()
