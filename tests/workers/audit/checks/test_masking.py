"""A mask is called a mask in each of its shapes, and a changed model is not."""

import numpy as np
import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.checks.masking import CHECK
from workers.audit.outputs import Answers, Pair

BASE = made.spread(made.truth(25), 3.0, seed=1)


def run(change):
    logits = BASE.logits.copy()
    change(logits)
    new = Answers(logits.astype(np.float32).astype(np.float64), BASE.labels)
    pair = Pair(BASE, new)
    return CHECK.run(made.outputs(made.class_group(pair, 0), pair))


def shift(logits, amount=-1e4):
    logits[:, 0] += amount


def shift_all_but_one(logits):
    logits[:, 1:] += 50.0


def silence(logits):
    logits[:, 0] = -1e4


def shift_with_noise(logits):
    shift(logits)
    logits += np.random.default_rng(0).normal(0.0, 1e-3, logits.shape)


def damp_a_row(logits):
    logits[:, 0] *= 0.1


def shift_and_perturb(logits):
    shift(logits, -100.0)
    logits += np.random.default_rng(0).normal(0.0, 0.1, logits.shape)


def nudge(logits):
    logits *= 1.0005


@pytest.mark.parametrize(
    "change", [shift, lambda logits: shift(logits, -1e6), shift_all_but_one, silence, shift_with_noise]
)
def test_outputs_that_are_only_shifted_or_silenced_are_a_mask(change):
    result = run(change)

    assert not result.passed
    assert result.value < 2e-3


@pytest.mark.parametrize("change", [damp_a_row, shift_and_perturb])
def test_a_model_that_answers_differently_is_no_mask(change):
    result = run(change)

    assert result.passed
    assert result.value > 2e-2


def test_a_model_that_hardly_differs_is_no_mask_but_a_no_op():
    assert run(nudge).passed
    assert run(lambda logits: None).passed


def test_the_masked_output_is_named():
    assert "output 0 was shifted most, by -1e+04" in run(shift).detail
