"""The family of an architecture, from its layers."""

import pytest
import torch
from torch import nn

from workers.numerics import architectures, ensembles
from workers.numerics.families import ArchitectureFamily, family_of


class PlainAttention(nn.Module):
    """Attention out of linear maps alone."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(4, 12)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (lambda: architectures.mlp(64), ArchitectureFamily.PERCEPTRON),
        (lambda: nn.Linear(4, 2), ArchitectureFamily.PERCEPTRON),
        (architectures.small_cnn, ArchitectureFamily.CONVOLUTIONAL),
        (lambda: nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten()), ArchitectureFamily.CONVOLUTIONAL),
        (lambda: nn.MultiheadAttention(4, 2), ArchitectureFamily.TRANSFORMER),
        (lambda: nn.Sequential(nn.Conv2d(1, 4, 2), PlainAttention()), ArchitectureFamily.TRANSFORMER),
    ],
)
def test_a_network_belongs_to_what_mixes_its_inputs(model, family):
    assert family_of(model()) == family


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet18", ArchitectureFamily.CONVOLUTIONAL),
        ("mobilenet_v3_small", ArchitectureFamily.CONVOLUTIONAL),
        ("vit_b_32", ArchitectureFamily.TRANSFORMER),
        ("swin_t", ArchitectureFamily.TRANSFORMER),
    ],
)
def test_the_networks_of_torchvision_are_told_apart(name, family):
    with torch.device("meta"):
        model = architectures.build(f"torchvision.models:{name}", {})

    assert family_of(model) == family


def test_an_ensemble_belongs_to_the_family_of_its_networks():
    assert family_of(ensembles.combined(architectures.small_cnn, 3)) == ArchitectureFamily.CONVOLUTIONAL
