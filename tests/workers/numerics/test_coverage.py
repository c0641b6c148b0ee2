"""Which parameters the layer rules may account for, on the networks people bring."""

import pytest
import torch
from torchvision import models

from workers.numerics import coverage


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_common_networks_are_covered_whole(name):
    model = models.get_model(name, num_classes=4).eval()

    found = coverage.survey(model, torch.rand(1, 3, 32, 32))

    assert found.loose == () and found.unused == ()
    assert found.ruled == {name for name, _ in model.named_parameters()}


def test_attention_is_loose_and_the_rest_of_its_network_is_not():
    model = models.VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=3).eval()

    found = coverage.survey(model, torch.rand(1, 3, 8, 8))

    attention = "encoder.layers.encoder_layer_0.self_attention."
    assert found.loose == (
        "class_token",
        "encoder.pos_embedding",
        f"{attention}in_proj_weight",
        f"{attention}in_proj_bias",
        f"{attention}out_proj.weight",
        f"{attention}out_proj.bias",
    )
    assert "encoder.layers.encoder_layer_0.mlp.0.weight" in found.ruled


def test_looking_leaves_no_hook_behind():
    model = models.resnet18(num_classes=4).eval()

    coverage.survey(model, torch.rand(1, 3, 32, 32))

    assert not any(module._forward_hooks for module in model.modules())
