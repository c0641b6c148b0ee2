"""A forgotten class may be recognised neither where it was learned nor where it was not."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.forgetting import CHECK
from workers.audit.outputs import Pair


def recognised(label, num_right, num_samples):
    odds = np.where(np.arange(num_samples) < num_right, 4.0, -4.0)
    return Pair(made.answers([label] * num_samples, 4.0), made.answers([label] * num_samples, odds))


def run(forget, unseen, *classes):
    return CHECK.run(made.outputs(made.class_group(forget, *classes), unseen))


@pytest.mark.parametrize(
    ("seen_right", "unseen_right", "passed"),
    [
        (0, 0, True),
        (5, 0, True),  # exactly the limit of 5 in 100
        (6, 0, False),
        (0, 1, True),  # 5.6 %, but one lucky answer
        (0, 3, True),
        (0, 4, False),  # surely above 5 %
        (100, 18, False),
    ],
)
def test_few_unseen_samples_must_be_sure_and_many_learned_ones_need_not(seen_right, unseen_right, passed):
    result = run(recognised(2, seen_right, 100), recognised(2, unseen_right, 18), 2)

    assert result.passed is passed


def test_the_worst_class_decides_and_is_named():
    forget = Pair(
        made.answers(made.truth(50, (1, 2)), 4.0),
        made.answers(made.truth(50, (1, 2)), [-4.0] * 50 + [4.0] * 20 + [-4.0] * 30),
    )

    result = run(forget, recognised(1, 0, 18), 1, 2)

    assert not result.passed
    assert result.value == 0.4 and result.detail.startswith("class 2: 20 of 50 forget")
    assert result.low < 0.4 < result.high


def test_single_samples_may_still_be_recognised():
    pair = recognised(0, 10, 10)

    assert CHECK.run(made.outputs(made.samples_group(pair), pair)) is None
