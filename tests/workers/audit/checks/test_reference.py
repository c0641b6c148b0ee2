"""The reference check: what the bank says of samples, as one result."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from tests.fixtures import reference_banks
from tests.fixtures.reference_banks import GAIN, NUM_LABELS
from workers.audit.base import SAMPLES_KIND
from workers.audit.checks import membership, over_forgetting
from workers.audit.checks.reference import CHECK
from workers.audit.limits import Limits
from workers.audit.outputs import Answers, Group, Outputs, Pair

ROWS = np.arange(0, 110, 10)
FIRST_HELD_OUT = 1000


@pytest.fixture(scope="module")
def world():
    return reference_banks.world()


def outputs(world, offset, **changes):
    """A run that forgot ROWS, all of class 0; the new model remembers `offset` of them."""
    labels = np.zeros(len(ROWS), dtype=np.int64)
    base, new = world.says(1, ROWS, offset=GAIN), world.says(0, ROWS, offset=offset)
    forget = Pair(made.answers(labels, base.samples), made.answers(labels, new.samples))
    of_rows = [Answers(world.said_of_rows(seed), np.zeros(len(world.logits), np.int64)) for seed in (1, 0)]
    unseen = Pair(*of_rows)
    group = Group(SAMPLES_KIND, (), forget, ROWS)
    found = Outputs(
        num_classes=NUM_LABELS,
        groups=(group,),
        retain=unseen,
        unseen=unseen,
        earlier=(),
        weights=made.outputs(group, unseen).weights,
        limits=Limits(),
        unseen_positions=FIRST_HELD_OUT + np.arange(len(world.logits)),
        bank=world.bank,
    )
    return replace(found, **changes)


def test_what_never_knew_passes_and_says_how_sure_that_is(world):
    result = CHECK.run(outputs(world, 0.0))

    assert result.passed and result.is_decided
    assert result.value >= result.threshold == 0.05
    assert "16 models, at least 8 without a sample" in result.detail
    assert "base model p 0.0" in result.detail and "power 1.00" in result.detail


@pytest.mark.parametrize("offset", [GAIN, -GAIN], ids=["remembered", "driven off"])
def test_what_remembers_or_was_driven_off_is_refused(world, offset):
    result = CHECK.run(outputs(world, offset))

    assert result.is_decided and not result.passed
    assert result.value < 0.05


def test_without_a_bank_nothing_is_decided(world):
    result = CHECK.run(outputs(world, 0.0, bank=None))

    assert not result.is_decided and not result.passed
    assert "no reference bank" in result.detail


def test_a_bank_whose_members_all_retired_decides_nothing(world):
    empty = world.bank.without(np.arange(200, 300))

    result = CHECK.run(outputs(world, GAIN, bank=empty))

    assert len(empty) == 0 and not result.is_decided
    assert "a bank of 0 models" in result.detail


def test_a_test_without_power_clears_nobody_and_a_policy_may_ask_for_none(world):
    bank = replace(world.bank, scores=(world.bank.scores - GAIN * world.bank.is_in).astype(np.float32))

    asked = CHECK.run(outputs(world, 0.0, bank=bank))
    unasked = CHECK.run(outputs(world, 0.0, bank=bank, limits=Limits(reference_power=0.0)))

    assert not asked.is_decided and "undecided: a power of 0.5" in asked.detail
    assert unasked.is_decided and unasked.passed


def test_a_class_is_none_of_its_business(world):
    group = outputs(world, 0.0).groups[0]

    assert CHECK.run(outputs(world, 0.0, groups=(made.class_group(group.forget, 0),))) is None


def test_the_worst_group_decides(world):
    good, bad = (outputs(world, offset).groups[0] for offset in (0.0, GAIN))

    result = CHECK.run(outputs(world, 0.0, groups=(good, bad, good)))

    assert not result.passed and result.is_decided


def test_controls_of_a_forgotten_class_are_left_out(world):
    whole, without = outputs(world, 0.0), outputs(world, 0.0, earlier=(3,))

    assert len(whole._controls(world.bank)[0]) == 400
    assert set(world.bank.control_labels[without._controls(world.bank)[0]]) == {0, 1, 2}


def test_controls_are_found_by_their_row_in_any_order(world):
    given = outputs(world, 0.0)
    order = np.random.default_rng(0).permutation(len(world.logits))
    shuffled = replace(
        given,
        unseen=Pair(*(side.take(order) for side in (given.unseen.base, given.unseen.new))),
        unseen_positions=given.unseen_positions[order],
    )

    assert CHECK.run(shuffled) == CHECK.run(given)


@pytest.mark.parametrize("check", [membership.CHECK, over_forgetting.CHECK])
def test_where_the_bank_decides_population_checks_only_inform(world, check):
    with_bank = check.run(outputs(world, -GAIN))
    without = check.run(outputs(world, -GAIN, bank=None))
    undecided = check.run(outputs(world, 0.0, bank=world.bank.without(np.arange(200, 300))))

    assert with_bank.is_outranked
    assert not without.is_outranked and not undecided.is_outranked
    assert replace(with_bank, is_outranked=False) == without


@pytest.mark.parametrize("check", [membership.CHECK, over_forgetting.CHECK])
def test_a_class_beside_judged_samples_is_still_decided(world, check):
    samples = outputs(world, 0.0).groups[0]
    beside = made.class_group(outputs(world, -4 * GAIN).groups[0].forget, 0)

    result = check.run(outputs(world, 0.0, groups=(samples, beside)))

    assert not result.is_outranked and not result.passed


def test_the_same_outputs_give_the_same_result(world):
    assert CHECK.run(outputs(world, 1.0)) == CHECK.run(outputs(world, 1.0))
