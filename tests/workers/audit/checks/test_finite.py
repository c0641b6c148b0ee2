"""One number that is none is one too many."""

import numpy as np

from tests.fixtures import audit_outputs as made
from workers.audit.checks.finite import CHECK
from workers.audit.outputs import Pair, WeightFacts

SURE = made.answers(made.truth(5), 3.0)


def run(new, num_non_finite=0):
    facts = WeightFacts(num_values=100, num_changed=40, num_non_finite=num_non_finite)
    pair = Pair(SURE, new)
    return CHECK.run(made.outputs(made.samples_group(pair), pair, weights=facts))


def test_numbers_pass():
    assert run(SURE).passed


def test_a_weight_that_is_none_fails():
    result = run(SURE, num_non_finite=2)

    assert not result.passed and result.value == 2.0


def test_a_logit_that_is_infinite_fails():
    broken = made.answers(made.truth(5), 3.0)
    broken.logits[0, 1] = -np.inf

    assert not run(broken).passed
