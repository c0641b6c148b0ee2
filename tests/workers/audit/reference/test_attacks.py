"""The attacks of the literature tell learned samples from others, and say nothing where they cannot."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.fixtures import reference_banks
from tests.fixtures.reference_banks import GAIN
from workers.audit.reference import attacks
from workers.audit.reference.matching import FLOOR

ROWS = np.arange(60)


@pytest.fixture(scope="module")
def world():
    return reference_banks.world(num_samples=60)


def test_u_lira_calls_learned_what_is_likelier_among_members_that_learned_it(world):
    scores = world.difficulty + GAIN

    found = attacks.u_lira(world.bank, ROWS, scores, world.difficulty)

    assert found is not None
    assert found.value > 0.9 > 0.2 > found.base
    assert found.low < found.value <= found.high


def test_u_lira_is_the_ratio_of_two_normal_densities(world):
    bank, sample = world.bank, 7
    learned = bank.scores[sample, bank.is_in[sample]].astype(float)
    never = bank.scores[sample, ~bank.is_in[sample]].astype(float)

    def is_learned(score):
        first, second = (stats.norm(s.mean(), s.std(ddof=1) + FLOOR) for s in (learned, never))
        return first.logpdf(score) > second.logpdf(score)

    for score in np.linspace(never.mean() - 3, learned.mean() + 3, 25):
        found = attacks.u_lira(bank, np.array([sample]), np.array([score]), np.array([score]))
        assert found is not None and found.value == is_learned(score)


def test_rmia_compares_every_sample_with_a_population(world):
    population = np.flatnonzero(np.arange(400) % 4 == 0)
    new = world.says(0, ROWS)
    said = (new.controls[population], new.controls[population])

    learned = attacks.rmia(world.bank, ROWS, new.samples + GAIN, new.samples, population, *said)

    assert learned is not None
    assert learned.value > learned.base
    assert 0 <= learned.low <= learned.value <= learned.high <= 1


def test_nothing_is_said_without_members_on_both_sides(world):
    nobody = replace(world.bank, is_in=np.zeros_like(world.bank.is_in))

    assert attacks.u_lira(nobody, ROWS, world.difficulty, world.difficulty) is None
    assert attacks.rmia(nobody, ROWS, world.difficulty, world.difficulty, ROWS, ROWS, ROWS) is None


def test_one_sample_has_an_interval_that_says_nothing(world):
    one, population = np.array([0]), np.arange(0, 400, 4)
    said = world.says(0, one).controls[population]

    found = attacks.rmia(world.bank, one, world.difficulty[:1], world.difficulty[:1], population, said, said)

    assert found is not None and (found.low, found.high) == (0.0, 1.0)
