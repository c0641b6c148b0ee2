"""Whom an attacker learns from and whom it judges, and when a share is like another."""

import numpy as np

from tests.fixtures.audit_outputs import answers, class_group, outputs, samples_group, spread, truth
from workers.audit.attackers import attacked, compared
from workers.audit.outputs import Pair

MOST = 50


def pair(labels, centre=2.0, seed=0):
    both = spread(labels, centre, seed)
    return Pair(both, both)


def given(group, unseen, retain):
    return attacked(outputs(group, unseen, retain=retain), MOST, "attack")


def test_as_many_members_as_strangers_are_learned_from():
    found = given(samples_group(pair(truth(3))), pair(truth(10), seed=1), pair(truth(100), seed=2))

    assert len(found.members) == len(found.strangers) == 20
    assert found.is_member.tolist() == [1] * 20 + [0] * 20


def test_no_side_exceeds_the_bound():
    found = given(samples_group(pair(truth(30))), pair(truth(200), seed=1), pair(truth(100), seed=2))

    assert {len(side) for side in (found.members, found.strangers, found.targets, found.controls)} == {MOST}


def test_nobody_is_judged_who_was_learned_from():
    unseen = pair(truth(10), seed=1)

    found = given(samples_group(pair(truth(3))), unseen, pair(truth(100), seed=2))

    rows = {tuple(row) for row in found.strangers.logits.tolist()}
    assert not rows & {tuple(row) for row in found.controls.logits.tolist()}


def test_a_forgotten_class_is_held_against_all_its_unseen_samples():
    found = given(class_group(pair(truth(20, [3])), 3), pair(truth(10), seed=1), pair(truth(30, [0, 1, 2])))

    assert found.controls.labels.tolist() == [3] * 10
    assert 3 not in found.strangers.labels


def test_too_few_samples_teach_no_attack():
    few = pair(truth(1), seed=1)

    assert given(samples_group(pair(truth(3))), few, pair(truth(100))) is None
    assert given(samples_group(pair(truth(3))), pair(truth(10)), few) is None


def test_a_share_like_that_of_the_controls_is_content():
    found = compared("attack", np.arange(40) < 20, np.arange(60) < 33, "members")

    assert (found.value, found.threshold, found.passed) == (0.5, 0.55, True)
    assert found.low < 0.5 < found.high


def test_a_share_on_either_side_of_the_controls_is_not():
    controls = np.arange(60) < 30

    high = compared("attack", np.ones(40, bool), controls, "members")
    low = compared("attack", np.zeros(40, bool), controls, "members")

    assert not high.passed and not low.passed


def test_without_a_control_nothing_is_decided():
    found = compared("attack", np.ones(40, bool), np.zeros(0, bool), "members")

    assert not found.is_decided and not found.passed and np.isfinite(found.threshold)


def test_one_forgotten_sample_is_judged():
    one = Pair(answers([2], 1.0), answers([2], 1.0))

    found = given(samples_group(one), pair(truth(10), seed=1), pair(truth(100), seed=2))

    assert len(found.targets) == 1
