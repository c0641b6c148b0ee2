"""SVC attack: the share of forgotten samples called unseen, by confidence and by correctness."""

import numpy as np

from tests.fixtures.audit_outputs import answers, outputs, samples_group, spread, truth
from workers.audit.checks.svc_attack import CHECK
from workers.audit.outputs import Pair


def pair(labels, centre, seed):
    both = spread(labels, centre, seed)
    return Pair(both, both)


def check(forget):
    """Members are sure at 5, the unseen at 0."""
    return CHECK.run(
        outputs(samples_group(forget), pair(truth(100), 0.0, 2), retain=pair(truth(200), 5.0, 3))
    )


def test_samples_that_are_still_remembered_are_seldom_called_unseen():
    found = check(pair(truth(50), 5.0, 1))

    assert found.value < found.threshold - 0.2
    assert not found.passed


def test_samples_like_unseen_ones_are_called_unseen_as_often_as_these():
    found = check(pair(truth(50), 0.0, 1))

    assert found.low < found.threshold < found.high
    assert found.passed


def test_samples_that_are_all_wrong_are_all_unseen_by_correctness():
    wrong = answers(truth(50), -5.0)

    found = check(Pair(wrong, wrong))

    assert found.value == 1.0 and not found.passed
    assert "by correctness 200 of the forgotten" in found.detail


def test_a_model_that_says_the_same_of_everybody_parts_nobody():
    same = [Pair(*(2 * [answers(truth(size), 3.0)])) for size in (20, 40, 80)]
    flat = [Pair(*(2 * [type(p.new)(np.round(p.new.logits * 0.0), p.new.labels)])) for p in same]

    found = CHECK.run(outputs(samples_group(flat[0]), flat[1], retain=flat[2]))

    assert (found.value, found.threshold, found.passed) == (0.0, 0.0, True)


def test_the_same_outputs_give_the_same_numbers():
    forget = pair(truth(200), 2.0, 1)

    assert check(forget) == check(forget)
