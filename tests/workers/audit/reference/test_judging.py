"""The bank refuses what remembers and what was driven off, and clears what never knew."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures import reference_banks
from tests.fixtures.reference_banks import GAIN
from workers.audit.reference import matching
from workers.audit.reference.judging import judge

ROWS = np.arange(0, 110, 10)
NUM_MODELS = 24


@pytest.fixture(scope="module")
def world():
    return reference_banks.world()


def judged(world, offset=0.0, *, rows=ROWS, seed=0, **options):
    new = world.says(seed, rows, offset=offset)
    found = judge(world.question(rows, new, seed=seed, **options))
    assert found is not None
    return found


def test_a_model_that_never_knew_is_cleared(world):
    found = judged(world)

    assert not found.is_refused
    assert found.doubt(0.5) is None
    assert found.low < 0 < found.high


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS[:5], np.arange(100)], ids=["1", "5", "100"])
def test_one_retrained_model_in_twenty_is_refused_at_every_size(rows):
    worlds = [reference_banks.world(seed) for seed in range(NUM_MODELS)]

    refused = sum(judged(made, rows=rows, seed=seed).is_refused for seed, made in enumerate(worlds))

    assert refused <= 4  # 5 or more of 24 at 5 %: 1 time in 170


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS, np.arange(200)], ids=["1", "11", "200"])
def test_samples_that_are_still_remembered_are_refused(world, rows):
    found = judged(world, GAIN, rows=rows)

    assert found.is_refused and found.value > 0 and found.low > 0


def test_samples_that_were_driven_off_are_refused(world):
    found = judged(world, -GAIN)

    assert found.is_refused and found.value < 0 and found.high < 0


def test_some_remembered_and_some_driven_off_are_refused_though_the_mean_is_as_it_should_be(world):
    found = judged(world, np.array([4.0, -4.0] * 5 + [0.0]))

    assert found.is_refused
    assert found.low < 0 < found.high


def test_without_matching_retrained_models_would_be_refused(world, monkeypatch):
    easy = np.argsort(world.difficulty)[-100:-60]
    matched = judged(world, rows=easy)

    monkeypatch.setattr(matching, "_nearest", reference_banks.any_controls)
    unmatched = judged(world, rows=easy)

    assert not matched.is_refused
    assert unmatched.p_value < 0.01


def test_the_power_is_how_often_what_members_remember_is_refused(world):
    assert judged(world).power > 0.95
    assert judged(world).base_p_value < 0.01
    forgetful = replace(world.bank, scores=(world.bank.scores - GAIN * world.bank.is_in).astype(np.float32))
    assert judged(world, bank=forgetful).power < 0.3


def test_a_test_without_power_clears_nobody_unless_none_is_asked_for(world):
    forgetful = replace(world.bank, scores=(world.bank.scores - GAIN * world.bank.is_in).astype(np.float32))
    found = judged(world, bank=forgetful)

    assert found.doubt(0.5) == "a power of 0.5 is asked for"
    assert found.doubt(0.0) is None


def test_a_base_model_that_passes_itself_leaves_a_doubt(world):
    found = judged(world, base=world.says(3, ROWS))

    assert "base model" in str(found.doubt(0.5))
    assert found.doubt(0.0) is None


def test_a_sample_that_too_few_members_never_saw_leaves_a_doubt(world):
    is_in = world.bank.is_in.copy()
    is_in[ROWS[0], 3:] = True

    found = judged(world, bank=replace(world.bank, is_in=is_in))

    assert (found.num_samples, found.num_judged) == (11, 10)
    assert str(found.doubt(0.5)).startswith("1 of 11 samples")


def test_a_sample_that_the_bank_does_not_know_leaves_a_doubt(world):
    new = world.says(0, ROWS)

    found = judge(replace(world.question(ROWS, new), samples=np.where(ROWS == 50, -1, ROWS)))

    assert found is not None and found.num_judged == 10
    assert found.doubt(0.0) is not None


def test_too_few_members_or_controls_are_no_judgement(world):
    new = world.says(0, ROWS)
    weak = replace(world.bank, is_in=np.ones_like(world.bank.is_in))

    assert judge(world.question(ROWS, new, bank=weak)) is None
    few = replace(world.question(ROWS, new), controls=np.arange(20), is_own=np.zeros(20, bool))
    assert judge(few) is None


def test_samples_that_belong_together_can_be_refused_as_remembered_but_not_as_driven_off():
    together = reference_banks.world(num_members=32, together=ROWS)

    driven_off, remembered = judged(together, -GAIN), judged(together, 2 * GAIN)

    assert driven_off.p_value < 0.05 and not driven_off.is_refused
    assert "belong together" in str(driven_off.doubt(0.5))
    assert remembered.is_refused


def test_the_same_question_has_the_same_answer_as_json(world):
    first, second = (judged(world, 1.0).to_json() for _ in range(2))

    assert first == second == json.loads(json.dumps(first, allow_nan=False))
    assert sum(first["z"]["forget"]) == 11
    assert {*first["attacks"]} == {"u_lira", "rmia"}
