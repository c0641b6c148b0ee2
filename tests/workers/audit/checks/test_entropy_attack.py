"""Entropy attack: the share of forgotten samples called members, beside that of unseen ones."""

import numpy as np
import pytest

from tests.fixtures.audit_outputs import NUM_CLASSES, class_group, outputs, samples_group, spread, truth
from workers.audit.checks.entropy_attack import CHECK
from workers.audit.outputs import Answers, Pair


def pair(labels, centre, seed):
    both = spread(labels, centre, seed)
    return Pair(both, both)


def check(centre, *, per_class=50, unseen=1.0):
    """Members are sure at 5; the forgotten at `centre`, the unseen at 1."""
    return CHECK.run(
        outputs(
            samples_group(pair(truth(per_class), centre, 1)),
            pair(truth(100), unseen, 2),
            retain=pair(truth(200), 5.0, 3),
        )
    )


def test_samples_that_are_still_remembered_are_called_members():
    found = check(5.0)

    assert found.value > found.threshold + 0.2
    assert not found.passed and found.is_decided


def test_samples_like_unseen_ones_are_called_members_as_often_as_these():
    found = check(1.0)

    assert found.low < found.threshold < found.high
    assert found.passed


def test_samples_that_stand_out_by_their_doubt_are_noted_too():
    doubtful = Answers(np.zeros((200, NUM_CLASSES)), truth(50))
    group = samples_group(Pair(doubtful, doubtful))

    found = CHECK.run(outputs(group, pair(truth(100), 1.0, 2), retain=pair(truth(200), 5.0, 3)))

    assert found.value < found.threshold and not found.passed


def test_the_same_outputs_give_the_same_numbers():
    assert check(3.0, per_class=400) == check(3.0, per_class=400)


def test_a_forgotten_class_without_held_out_samples_is_undecided():
    group = class_group(pair(truth(20, [3]), 0.0, 1), 3)

    found = CHECK.run(
        outputs(group, pair(truth(30, [0, 1, 2]), 1.0, 2), retain=pair(truth(60, [0, 1, 2]), 5.0, 3))
    )

    assert not found.is_decided


def test_two_outputs_are_enough():
    def two(centre, seed):
        odds = np.random.default_rng(seed).normal(centre, 2.0, 100)
        labels = np.arange(100) % 2
        both = Answers(np.where(np.arange(2) == labels[:, None], odds[:, None], 0.0), labels)
        return Pair(both, both)

    assert CHECK.run(outputs(samples_group(two(3.0, 1)), two(1.0, 2), retain=two(3.0, 3))) is not None


@pytest.mark.parametrize("size", [100, 3000])
def test_many_samples_are_drawn_from(size):
    found = check(1.0, per_class=size)

    assert f" of {min(4 * size, 1000)} forgotten" in found.detail
