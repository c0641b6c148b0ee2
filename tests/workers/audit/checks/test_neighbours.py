"""Harm to what is near: found behind a good mean, and not confused with harm to all."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.neighbours import CHECK
from workers.audit.outputs import Answers, Pair

FORGET = made.answers(np.full(10, 3), 6.0, seed=1)
NEAR = np.arange(200) < 20


def kept(num_lost_near, num_lost_far=0):
    """Two hundred kept samples, of which the first twenty lie where the forgotten ones do."""
    rows = np.where(NEAR, 3, 0)
    lost = np.zeros(200, dtype=bool)
    lost[:num_lost_near] = lost[20 : 20 + num_lost_far] = True
    return Pair(made.answers(rows, 6.0), made.answers(rows, np.where(lost, -6.0, 6.0)))


def run(retain, forget=FORGET):
    unseen = made.answers(made.truth(5), 4.0)
    return CHECK.run(
        made.outputs(made.samples_group(Pair(forget, forget)), Pair(unseen, unseen), retain=retain)
    )


@pytest.mark.parametrize(("num_lost", "passed"), [(0, True), (2, True), (8, False), (20, False)])
def test_neighbours_that_lose_what_others_keep_are_found(num_lost, passed):
    result = run(kept(num_lost))

    assert result.passed is passed and result.is_decided
    assert result.value == pytest.approx(num_lost / 20)


def test_a_loss_that_all_bear_is_not_the_neighbours():
    result = run(kept(8, num_lost_far=72))

    assert result.passed
    assert result.value == pytest.approx(0.0)


@pytest.mark.parametrize("num_kept", [0, 1, 79])
def test_with_few_kept_samples_it_does_not_apply(num_kept):
    pair = kept(0)

    assert run(pair.take(np.arange(200) < num_kept)) is None


def test_without_a_forgotten_sample_it_does_not_apply():
    assert run(kept(0), forget=Answers(np.empty((0, made.NUM_CLASSES)), np.empty(0, dtype=np.int64))) is None
