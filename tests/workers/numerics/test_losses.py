"""Losses that add up over samples, and what importance each gives."""

import pytest
import torch
from torch import nn

from tests.oracles.fisher import sum_of_squared_gradients
from workers.numerics import losses
from workers.numerics.architectures import small_cnn
from workers.numerics.fisher import FisherError, diagonal_fisher
from workers.numerics.params import state_of


def setting():
    torch.manual_seed(0)
    model = small_cnn(width=3).double().eval()
    return model, torch.randn(3, 1, 6, 6, dtype=torch.float64), torch.tensor([0, 4, 9])


@pytest.mark.parametrize("loss", [losses.cross_entropy_sum, losses.squared_norm])
def test_the_importance_of_each_loss_equals_the_loop(loss):
    model, images, labels = setting()

    sums = diagonal_fisher(model, state_of(model), [(images, labels)], reduction="sum", loss=loss)

    for name, expected in sum_of_squared_gradients(model, images, labels, loss).items():
        assert torch.allclose(sums[name], expected, rtol=1e-11), name


def test_the_squared_norm_ignores_labels():
    model, images, labels = setting()
    one, other = (
        diagonal_fisher(model, state_of(model), [(images, given)], loss=losses.squared_norm)
        for given in (labels, labels - 100)
    )

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_mean_over_the_batch_is_no_loss():
    model, images, labels = setting()

    with pytest.raises(FisherError, match="take the sum over the batch"):
        diagonal_fisher(model, state_of(model), [(images, labels)], loss=nn.functional.cross_entropy)


@pytest.mark.parametrize(
    ("label", "message"), [(-1, "labels of 0 or more, got -1"), (10, "10 outputs, got 10")]
)
def test_a_label_without_an_output_is_an_error(label, message):
    with pytest.raises(FisherError, match=message):
        losses.cross_entropy_sum(torch.zeros(2, 10), torch.tensor([0, label]))
