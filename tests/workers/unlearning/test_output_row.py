"""A row of the last layer is lowered by exactly what was asked, and no other logit moves."""

import math

import pytest
import torch
from torch import nn

from workers.numerics import calling
from workers.numerics.output_layer import row_gradients
from workers.numerics.params import state_of
from workers.unlearning.amplitude import Amplitude
from workers.unlearning.output_row import OutputRow

LABEL = 1


@pytest.fixture
def head():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


@pytest.fixture
def image():
    # of both signs, as features without a rectifier are
    return torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(1))


def row_of(head, image):
    amplitudes = {
        "1.weight": Amplitude(torch.rand(3, 6, generator=torch.Generator().manual_seed(2)), 1.0),
        "1.bias": Amplitude(torch.tensor([0.2, 0.5, 1.0]), 2.0),
    }
    gradients = row_gradients(head, state_of(head), image, LABEL, 3)
    return OutputRow.of(LABEL, gradients, amplitudes), gradients


def test_the_logit_falls_by_slope_times_strength_and_the_others_stay(head, image):
    row, gradients = row_of(head, image)
    params = state_of(head)

    lowered = row.lowered(params, math.inf, 0.7)

    before, after = (calling.logits(head, each, image[None])[0] for each in (params, lowered))
    assert row.slope(gradients) > 0
    torch.testing.assert_close(
        float(before[LABEL] - after[LABEL]), 0.7 * row.slope(gradients), rtol=1e-5, atol=0
    )
    assert torch.equal(before[[0, 2]], after[[0, 2]])


def test_the_largest_change_in_the_row_is_the_strength(head, image):
    row, _ = row_of(head, image)
    params = state_of(head)

    lowered = row.lowered(params, math.inf, 0.7)

    changes = [float((lowered[name] - params[name]).abs().max()) for name in params]
    assert changes == pytest.approx([0.7, 0.7])


def test_lambda_1_bounds_the_factor_on_the_amplitude(head, image):
    row, _ = row_of(head, image)
    params = state_of(head)

    lowered = row.lowered(params, 0.01, 100.0)

    # eta of this bias is exp(2) * 0.5
    assert float(params["1.bias"][LABEL] - lowered["1.bias"][LABEL]) == pytest.approx(
        0.01 * math.exp(2) * 0.5
    )


def test_a_tensor_without_amplitude_stays(head, image):
    gradients = row_gradients(head, state_of(head), image, LABEL, 3)

    row = OutputRow.of(LABEL, gradients, {"1.bias": Amplitude(torch.tensor([1.0, 0.5, 1.0]), 0.0)})

    params = state_of(head)
    lowered = row.lowered(params, math.inf, 1.0)
    assert row.names == {"1.weight", "1.bias"}
    assert torch.equal(lowered["1.weight"], params["1.weight"])
    assert float(params["1.bias"][LABEL] - lowered["1.bias"][LABEL]) == pytest.approx(1.0)


def test_a_row_that_its_code_does_not_reach_has_no_slope(head, image):
    gradients = row_gradients(head, state_of(head), image, LABEL, 3)

    row = OutputRow.of(LABEL, gradients, {"1.bias": Amplitude(torch.tensor([1.0, 0.0, 1.0]), 0.0)})

    assert row.slope(gradients) == 0
