"""Every trainable weight belongs to one channel, whatever the layer, and small channels are scored too."""

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.unlearning.localization import channels


class WithToken(nn.Module):
    """A network with a tensor that has no channels, and a scalar."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 3, 2))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.head = nn.Linear(4, 2)


NETWORKS = {
    "linear": (lambda: nn.Linear(5, 3), [(3, 6)]),
    "convolution": (lambda: nn.Conv2d(2, 4, 3), [(4, 19)]),
    "transposed convolution": (lambda: nn.ConvTranspose2d(2, 4, 3), [(4, 19)]),
    "grouped transposed convolution": (
        lambda: nn.ConvTranspose2d(2, 4, 3, groups=2),
        [(2, 18 * 2 // 2), (4, 1)],
    ),
    "batch norm": (lambda: nn.BatchNorm2d(7), [(7, 2)]),
    "no bias": (lambda: nn.Linear(5, 3, bias=False), [(3, 5)]),
    "token and scalar": (WithToken, [(1, 7), (2, 5)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_has_the_channels_of_its_outputs(name):
    make, expected = NETWORKS[name]

    found = channels.blocks(make())

    assert [(block.num_channels, block.size) for block in found] == expected


@pytest.mark.parametrize("make", [one for one, _ in NETWORKS.values()])
def test_rows_and_masks_are_of_the_same_weights(make):
    model = make()
    shapes = {name: tensor.shape for name, tensor in model.named_parameters()}
    blocks = channels.blocks(model)
    chosen = torch.arange(sum(block.num_channels for block in blocks)) % 2 == 0

    masks = channels.masks(blocks, chosen, shapes)

    full = {name: masks.get(name, torch.zeros(shape, dtype=torch.bool)) for name, shape in shapes.items()}
    rows = [block.rows(full) for block in blocks]
    assert torch.equal(torch.cat([one.all(dim=1) for one in rows]), chosen)
    assert torch.equal(torch.cat([one.any(dim=1) for one in rows]), chosen)


@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
def test_every_trainable_weight_is_in_one_channel(build):
    model = build(4)
    blocks = channels.blocks(model)
    chosen = torch.ones(sum(block.num_channels for block in blocks), dtype=torch.bool)

    masks = channels.masks(blocks, chosen, {name: one.shape for name, one in model.named_parameters()})

    assert {name: mask.shape for name, mask in masks.items()} == {
        name: one.shape for name, one in model.named_parameters()
    }
    assert all(bool(mask.all()) for mask in masks.values())
    assert int(channels.sizes(blocks).sum()) == sum(one.numel() for one in model.parameters())


def test_frozen_weights_are_in_no_channel():
    model = forget_problems.mlp(4)
    model.head.requires_grad_(False)

    names = [name for block in channels.blocks(model) for name in block.axes]

    assert names == ["features.1.weight", "features.1.bias"]


@pytest.mark.parametrize(("share", "expected"), [(1e-6, 4.0), (0.5, 3.5), (0.51, 3.0), (1.0, 2.5)])
def test_the_mean_is_over_a_share_of_the_channels_own_weights_and_at_least_one(share, expected):
    rows = torch.tensor([[1.0, 4.0, 2.0, 3.0]])

    assert channels.top_mean(rows, share).tolist() == [expected]


def test_a_channel_of_one_weight_is_scored_by_it():
    assert channels.top_mean(torch.tensor([[5.0], [7.0]]), 0.1).tolist() == [5.0, 7.0]
