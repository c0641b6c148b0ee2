"""Which parameters the layer rules may account for, on the networks people bring."""

import pytest
import torch
from torch import nn
from torchvision import models

from tests.oracles.fisher import sum_of_squared_gradients
from workers.numerics import coverage
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import state_of


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_common_networks_are_covered_whole(name):
    model = models.get_model(name, num_classes=4).eval()

    found = coverage.survey(model, torch.rand(1, 3, 32, 32))

    assert found.loose == () and found.unused == ()
    assert found.ruled == tuple(name for name, _ in model.named_parameters())


def test_attention_has_rules_and_tokens_are_spread():
    model = models.VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=3).eval()

    found = coverage.survey(model, torch.rand(1, 3, 8, 8))

    assert found.loose == () and found.unused == ()
    assert found.spread == ("class_token", "encoder.pos_embedding")
    assert "encoder.layers.encoder_layer_0.self_attention.in_proj_weight" in found.ruled


class Steps(nn.Module):
    """A linear map whose use is up to the test."""

    def __init__(self, forward):
        super().__init__()
        self.map = nn.Linear(6, 4)
        self.offset = nn.Parameter(torch.ones(4))
        self._forward = forward

    def forward(self, images):
        return self._forward(self, images[:, 0])  # [n, 6, 6]


def ignored_call(model, rows):
    """The layer's call counts for nothing; its weight works elsewhere."""
    model.map(rows)
    return rows.mean(1) @ model.map.weight.T + model.offset


def interleaved(model, rows):
    """The samples' tokens in one row, token by token."""
    flat = rows.transpose(0, 1).reshape(-1, 6)
    return model.map(flat).tanh().view(6, len(rows), 4).sum(0) + model.offset


def side_by_side(model, rows):
    """The samples' tokens in one row, sample by sample."""
    return model.map(rows.reshape(-1, 6)).tanh().view(len(rows), 6, 4).sum(1) + model.offset


def twice(model, rows):
    """The layer is called for two things."""
    return model.map(rows[:, 0]) * model.map(rows[:, 1]) + model.offset


def offset_at_both_ends(model, rows):
    """A parameter that is spread, and works in a function without a rule."""
    return (
        model.map(rows[:, 0]) + model.offset + torch.einsum("nc,c->nc", model.map(rows[:, 0]), model.offset)
    )


@pytest.mark.parametrize(
    ("forward", "loose"),
    [
        (ignored_call, ("map.weight",)),
        (interleaved, ("map.weight", "map.bias")),
        (side_by_side, ()),
        (twice, ("map.weight", "map.bias")),
        (offset_at_both_ends, ("offset", "map.weight", "map.bias")),
    ],
)
def test_a_rule_is_used_only_where_it_sees_all_of_a_parameters_work(forward, loose):
    torch.manual_seed(0)
    model = Steps(forward).double().eval()
    images = torch.randn(3, 1, 6, 6, dtype=torch.float64)
    labels = torch.arange(3)

    found = coverage.survey(model, images[:1])
    sums = diagonal_fisher(model, state_of(model), [(images, labels)], reduction="sum")

    assert found.loose == loose
    for name, expected in sum_of_squared_gradients(model, images, labels).items():
        assert torch.allclose(sums[name], expected, rtol=1e-11), name


def test_looking_leaves_no_hook_behind():
    model = models.resnet18(num_classes=4).eval()

    coverage.survey(model, torch.rand(1, 3, 32, 32))

    assert not any(module._forward_hooks for module in model.modules())
