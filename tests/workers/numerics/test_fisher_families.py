"""The Fisher in float32 against the loop of single samples in float64, for the families people bring."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

from tests.oracles.fisher import sum_of_squared_gradients
from workers.numerics.fisher import FisherSum
from workers.numerics.params import state_of


class Words(nn.Module):
    """An embedding of pixel values as words, with a padding word and a convolution over the words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 6, padding_idx=0)
        self.phrases = nn.Conv1d(6, 8, 3, stride=2, padding=1, groups=2)
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        words = (images[:, 0, 0] * 3).abs().long().clamp(max=8)  # [n, width]
        return self.head(self.phrases(self.words(words).mT).relu().mean(-1))


class Clips(nn.Module):
    """A convolution in three dimensions, then one over frames laid into the batch."""

    def __init__(self):
        super().__init__()
        self.motion = nn.Conv3d(1, 4, (2, 3, 3), padding=(1, 1, 0), dilation=(1, 1, 2), stride=(1, 2, 2))
        self.still = nn.Conv2d(4, 3, 3, padding="same", padding_mode="replicate")
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        frames = self.motion(images[:, None]).tanh()  # [n, 4, frames, height, width]
        each = frames.transpose(1, 2).flatten(0, 1)
        return self.norm(self.still(each)).unflatten(0, (len(images), -1)).tanh().mean((1, 3, 4))


def vgg():
    layers = models.vgg.make_layers([4, "M", 6, 6, "M"], batch_norm=True)
    return nn.Sequential(layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def swin(**changes):
    return SwinTransformer([2, 2], 8, [2, 2], [1, 2], [2, 2], num_classes=3, **changes)


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 8, batch_first=True)
    return nn.Sequential(nn.Flatten(1, 2), layer, nn.Flatten(), nn.Linear(3 * 16 * 16, 3))


FAMILIES = OrderedDict(
    resnet=lambda: models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=3),
    resnext=lambda: models.ResNet(
        models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=3, groups=4, width_per_group=4
    ),
    vgg=vgg,
    densenet=lambda: models.DenseNet(4, (2, 2), 8, num_classes=3),
    mobilenet=lambda: models.mobilenet_v3_small(num_classes=3, width_mult=0.25),
    convnext=lambda: ConvNeXt([CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 1)], 0.0, 0.3, num_classes=3),
    vit=lambda: models.VisionTransformer(16, 4, 2, 2, 8, 16, num_classes=3),
    swin=swin,
    swin_v2=lambda: swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
    encoder=encoder,
    words=Words,
    clips=Clips,
)


def lively(build):
    """An evaluating network none of whose statistics and parameters are trivial."""
    torch.manual_seed(0)
    model = build().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_equals_the_loop_and_needs_no_backward_pass_a_sample(family):
    model = lively(FAMILIES[family])
    images, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 1])
    images = images[:, :1].expand_as(images) if family == "encoder" else images
    total = FisherSum(model, state_of(model))

    total.add(images[:3], labels[:3])
    total.add(images[3:], labels[3:])

    assert total.loose == ()
    oracle = sum_of_squared_gradients(model.double(), images.double(), labels)
    for name, expected in oracle.items():
        # A gradient carries about 1e-6 of the largest one's size as rounding error; squares double it.
        error = (total.sums[name].double() - expected).abs().max()
        assert float(expected.max()) > 0 and float(error) <= 1e-5 * float(expected.max()), name
