"""The last layer is found by what it does, whatever it is called and built of."""

import pytest
import torch
from torch import nn

from workers.numerics import architectures
from workers.numerics.output_layer import row_gradients
from workers.numerics.params import state_of

NUM_CLASSES = 4
IMAGE = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0))


def rows_of(model, label=2):
    return row_gradients(model, state_of(model), IMAGE, label, NUM_CLASSES)


def convolutional_head():
    return nn.Sequential(
        nn.Conv2d(1, NUM_CLASSES, 3),
        nn.ReLU(),
        nn.Conv2d(NUM_CLASSES, NUM_CLASSES, 1),
        nn.AvgPool2d(2),
        nn.Flatten(),
    )


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (architectures.mlp(16, hidden=NUM_CLASSES, num_classes=NUM_CLASSES), {"head.weight", "head.bias"}),
        (architectures.small_cnn(num_classes=NUM_CLASSES, width=4), {"head.weight", "head.bias"}),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, NUM_CLASSES, bias=False)), {"1.weight"}),
        (convolutional_head(), {"2.weight", "2.bias"}),
    ],
    ids=["as wide as its hidden layer", "batch norm", "without a bias", "a convolution"],
)
def test_it_is_found(model, names):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.5, 0.2)

    assert rows_of(model).keys() == names


def test_the_gradient_of_a_linear_row_is_its_input():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, NUM_CLASSES))

    rows = rows_of(model)

    torch.testing.assert_close(rows["1.weight"], IMAGE.flatten())
    assert float(rows["1.bias"]) == 1


def test_log_probabilities_have_no_row_of_their_own():
    assert rows_of(nn.Sequential(nn.Flatten(), nn.Linear(16, NUM_CLASSES), nn.LogSoftmax(1))) == {}


def test_a_frozen_last_layer_is_not_found():
    model = architectures.mlp(16, hidden=8, num_classes=NUM_CLASSES)
    model.head.requires_grad_(False)

    assert rows_of(model) == {}


def test_the_model_keeps_its_mode_its_gradients_and_its_weights():
    model = architectures.small_cnn(num_classes=NUM_CLASSES, width=4).train()
    before = state_of(model)

    rows_of(model)

    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(model).items())
