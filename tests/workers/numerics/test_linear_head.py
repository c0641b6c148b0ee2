"""Heads: found by what the forward pass returns, never by name, refused where there is none of its own."""

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics import linear_head
from workers.numerics.batches import SampleSet
from workers.numerics.linear_head import HeadError
from workers.numerics.params import state_of

SHAPE = forget_problems.SHAPE


class Tied(nn.Module):
    """A network whose last layer is its first one again."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.last = nn.Linear(16, 16)
        self.last.weight = self.first.weight

    def forward(self, images):
        return self.last(self.first(images.flatten(1)).relu())


@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
def test_features_and_head_make_the_logits(build):
    model = build(4).eval()
    samples = SampleSet(forget_problems.Blobs((3, 3, 3, 3), (1, 1, 1, 1)), torch.arange(12).numpy())

    head = linear_head.find(model, SHAPE)
    features = linear_head.features(model, state_of(model), samples, head)

    weight = head.read(state_of(model))
    logits = features.double() @ weight[:, :-1].T + weight[:, -1]
    with torch.no_grad():
        expected = model(samples.source.images(samples.positions)).double()
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_head_without_bias_is_read_and_placed_back():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    params = state_of(model)

    head = linear_head.find(model, SHAPE)

    assert head.bias is None and head.read(params).shape == (3, 5)
    placed = head.placed(params, torch.ones(3, 5, dtype=torch.float64))
    assert torch.equal(placed["3.weight"], torch.ones(3, 5)) and placed["1.weight"] is params["1.weight"]


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.LogSoftmax(1)),
        nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()),
    ],
)
def test_a_network_that_does_not_end_in_a_linear_layer_is_refused(model):
    with pytest.raises(HeadError, match="last linear layer"):
        linear_head.find(model, SHAPE)


def test_a_head_that_shares_its_weights_is_refused():
    with pytest.raises(HeadError, match="untie"):
        linear_head.find(Tied(), SHAPE)
