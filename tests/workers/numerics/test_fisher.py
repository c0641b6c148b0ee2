"""The Fisher against a loop of single backward passes in float64, on every kind of layer and odd networks."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from tests.oracles.fisher import sum_of_squared_gradients
from workers.numerics import convolutions, products
from workers.numerics.architectures import mlp, small_cnn
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.fisher import FisherError, diagonal_fisher, each_class
from workers.numerics.params import WeightsError, num_changed, state_of

# Both sides work in float64 and differ only in the order of sums.
RELATIVE = 1e-11


class Tokens(nn.Module):
    """Rows of the image as tokens, with a rectifier in place on what a layer returned."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 5)
        self.norm = nn.LayerNorm(5)
        self.mix = nn.Linear(5, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, images):
        tokens = nn.functional.relu_(self.embed(images[:, 0]))  # [n, height, 5]
        return self.head(self.norm(self.mix(tokens)).mean(1))


class Tied(nn.Module):
    """One weight used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(36, 36)
        self.second = nn.Linear(36, 36)
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(self.first(images.flatten(1)).tanh())


class Functional(nn.Module):
    """A layer's weight that also works outside of the layer's call, and a scale without a layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(36, 4)
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0, 1.0, 1.5]))

    def forward(self, images):
        logits = self.layer(images.flatten(1)) * self.scale
        return logits + nn.functional.linear(images.flatten(1).square(), self.layer.weight)


class TokensFirst(nn.Module):
    """Tokens laid out before samples, as recurrent networks do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, images):
        return self.layer(images[:, 0].transpose(0, 1)).tanh().sum(0)  # [height, n, 4] -> [n, 4]


class Repeating(nn.Module):
    """A token repeated for each sample, which a batch of one takes as it is."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.tensor([[[0.5, -1.0, 2.0, 0.1, 0.3, 1.0]]]))
        self.layer = nn.Linear(6, 4)

    def forward(self, images):
        tokens = torch.cat([self.token.repeat(len(images), 1, 1), images[:, 0]], dim=1)
        return self.layer(tokens).tanh().sum(1)


class Ignoring(nn.Module):
    """A network with a part that its output ignores."""

    def __init__(self):
        super().__init__()
        self.used = nn.Linear(36, 4)
        self.ignored = nn.Linear(36, 4)

    def forward(self, images):
        self.ignored(images.flatten(1))
        return self.used(images.flatten(1))


def odd_convolutions():
    """Groups, strides, dilations and every way of padding, as odd as they come."""
    return nn.Sequential(
        nn.Conv2d(1, 4, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2)),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, padding="same", dilation=2, groups=2, bias=False),
        nn.GroupNorm(3, 6),
        nn.Conv2d(6, 6, (2, 3), padding="same", padding_mode="circular", groups=6),
        nn.Conv2d(6, 4, 2, padding=1, padding_mode="reflect"),
        nn.LayerNorm([4, 5, 7]),
        nn.Conv2d(4, 3, 2, padding="valid"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def frozen():
    model = small_cnn(width=3)
    for parameter in model.features.parameters():
        parameter.requires_grad_(False)
    model.features[1].bias.requires_grad_(True)
    return model


CASES = OrderedDict(
    mlp=lambda: mlp(36, 7, 4),
    small_cnn=lambda: small_cnn(width=3),
    convolutions=odd_convolutions,
    tokens=Tokens,
    batch_norm_of_features=lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5)),
    tied=Tied,
    functional=Functional,
    tokens_first=TokensFirst,
    layer_without_rule=lambda: nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.Flatten(), nn.Linear(98, 3)),
    repeating=Repeating,
    ignoring=Ignoring,
    frozen=frozen,
    one_class=lambda: mlp(36, 7, 1),
    two_classes=lambda: mlp(36, 7, 2),
)


def prepared(build, shape=(1, 6, 6), num_samples=3, num_classes=None):
    """A network in float64 with lively running statistics, images, and labels that its head knows."""
    torch.manual_seed(0)
    model = build().double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    images = torch.randn(num_samples, *shape, dtype=torch.float64)
    with torch.no_grad():
        num_classes = model(images).shape[1]
    return model, images, torch.arange(num_samples) % num_classes


def assert_equal(fisher, oracle, relative=RELATIVE):
    assert list(fisher) == list(oracle)
    for name, expected in oracle.items():
        scale = float(expected.abs().max())
        assert torch.allclose(fisher[name].double(), expected, rtol=relative, atol=relative * scale), name


@pytest.mark.parametrize("case", CASES)
def test_sums_and_means_equal_the_loop_of_single_samples(case):
    model, images, labels = prepared(CASES[case])
    oracle = sum_of_squared_gradients(model, images, labels)
    batches = [(images[:2], labels[:2]), (images[2:], labels[2:])]

    assert_equal(diagonal_fisher(model, state_of(model), batches, reduction="sum"), oracle)
    mean = diagonal_fisher(model, state_of(model), batches)
    assert_equal(mean, {name: total / len(labels) for name, total in oracle.items()})


def test_an_unmodified_resnet18_equals_the_loop():
    model, images, labels = prepared(lambda: resnet18(num_classes=5), shape=(3, 16, 16))

    fisher = diagonal_fisher(model, state_of(model), [(images, labels)], reduction="sum")

    assert_equal(fisher, sum_of_squared_gradients(model, images, labels))


def test_in_float32_the_error_is_that_of_its_rounding():
    model, images, labels = prepared(CASES["small_cnn"], num_samples=20)
    oracle = sum_of_squared_gradients(model, images, labels)
    model = model.float()

    fisher = diagonal_fisher(model, state_of(model), [(images.float(), labels)], reduction="sum")

    # A gradient carries about 1e-6 of the largest one's size as rounding error; squares double it.
    assert_equal(fisher, oracle, relative=1e-5)


@pytest.mark.parametrize("case", ["small_cnn", "convolutions", "tokens"])
def test_the_result_does_not_depend_on_how_many_samples_are_held_at_a_time(case, monkeypatch):
    model, images, labels = prepared(CASES[case], num_samples=5)
    whole = diagonal_fisher(model, state_of(model), [(images, labels)])

    monkeypatch.setitem(products.BLOCK_ELEMENTS, "cpu", 1)
    monkeypatch.setitem(convolutions.PATCH_ELEMENTS, "cpu", 1)

    assert_equal(diagonal_fisher(model, state_of(model), [(images, labels)]), whole)


@pytest.mark.parametrize("case", ["small_cnn", "convolutions"])
def test_the_result_does_not_depend_on_how_a_convolution_is_squared(case, monkeypatch):
    model, images, labels = prepared(CASES[case], num_samples=5)
    by_patches = diagonal_fisher(model, state_of(model), [(images, labels)])

    monkeypatch.setattr(convolutions, "MUCH_WORK", 0)
    monkeypatch.setattr(convolutions.library, "conv2d_weight", counted(convolutions.library.conv2d_weight))

    assert_equal(diagonal_fisher(model, state_of(model), [(images, labels)]), by_patches)
    assert convolutions.library.conv2d_weight.num_calls >= len(images)


def counted(function):
    """The function, with a count of its calls."""

    def call(*args):
        call.num_calls += 1
        return function(*args)

    call.num_calls = 0
    return call


def test_the_model_is_left_as_it_was():
    model = small_cnn(width=2)
    before = state_of(model)
    other = {name: tensor + 1 for name, tensor in before.items()}

    diagonal_fisher(model, other, [(torch.rand(3, 1, 8, 8), torch.arange(3))])

    assert num_changed(before, state_of(model)) == 0
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_the_values_are_those_of_the_given_parameters():
    model, images, labels = prepared(CASES["small_cnn"])
    params = state_of(model)
    nn.init.zeros_(model.head.weight)

    fisher = diagonal_fisher(model, params, [(images, labels)], reduction="sum")

    model.load_state_dict(params)
    assert_equal(fisher, sum_of_squared_gradients(model, images, labels))


def test_no_samples_are_an_error():
    model = small_cnn(width=2)

    with pytest.raises(FisherError, match="at least one sample"):
        diagonal_fisher(model, state_of(model), [])


def test_a_label_without_an_output_is_an_error():
    model = small_cnn(width=2)

    with pytest.raises(FisherError, match="below the model's 10 outputs, got 10"):
        diagonal_fisher(model, state_of(model), [(torch.rand(1, 1, 8, 8), torch.tensor([10]))])


def test_parameters_of_another_network_are_an_error():
    with pytest.raises(WeightsError):
        diagonal_fisher(small_cnn(width=2), state_of(small_cnn(width=3)), [])


def test_a_network_that_mixes_the_samples_of_a_batch_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))

    with pytest.raises(FisherError, match="give its batch norms running statistics"):
        diagonal_fisher(model, state_of(model), [(torch.rand(3, 1, 2, 2), torch.arange(3))])


def test_a_network_that_overwrites_a_layers_input_is_refused():
    class Overwriting(nn.Sequential):
        def forward(self, images):
            features = images.flatten(1) * 2
            logits = super().forward(features)
            features.zero_()
            return logits

    model = Overwriting(nn.Linear(4, 3))

    with pytest.raises(FisherError, match="modified by an inplace operation"):
        diagonal_fisher(model, state_of(model), [(torch.rand(3, 1, 2, 2), torch.arange(3))])


def labelled(labels):
    images = torch.rand(len(labels), 1, 6, 6, generator=torch.Generator().manual_seed(0))
    source = ReaderSource("random", Manifest.of(labels), (1, 6, 6), lambda positions: images[positions])
    return SampleSet(source, np.arange(len(labels))), images.double()


def test_each_class_has_the_fisher_of_its_own_samples():
    model, _, _ = prepared(CASES["small_cnn"])
    samples, images = labelled([3, 0, 3, 9, 0, 3, 3])  # 9 has a single sample, the others none

    found = [*each_class(model, state_of(model), samples, range(10), batch_size=3)]

    assert [(one.label, one.count, one.loose) for one in found] == [(0, 2, ()), (3, 4, ()), (9, 1, ())]
    for one in found:
        rows = samples.labels == one.label
        oracle = sum_of_squared_gradients(model, images[rows], samples.labels[rows])
        assert_equal(one.mean, {name: total / one.count for name, total in oracle.items()})


def test_classes_weighted_by_their_counts_give_the_fisher_of_all():
    model, _, _ = prepared(CASES["small_cnn"])
    samples, _ = labelled([3, 0, 3, 9, 0, 3, 3])
    params = state_of(model)

    found = [*each_class(model, params, samples, range(10))]

    whole = diagonal_fisher(model, params, samples.batches(4))
    weighted = {name: sum(one.count * one.mean[name] for one in found) / 7 for name in whole}
    assert_equal(weighted, whole)


def test_slow_parameters_are_named():
    model, _, _ = prepared(CASES["functional"])
    samples, _ = labelled([0, 1])

    (first, *_) = each_class(model, state_of(model), samples, range(4))
    assert first.loose == ("layer.weight",)


def test_progress_counts_samples_and_may_cancel():
    model, _, _ = prepared(CASES["mlp"])
    samples, _ = labelled([0, 1, 1, 1])
    seen = []

    for _ in each_class(model, state_of(model), samples, range(4), batch_size=2, progress=seen.append):
        pass
    assert seen == [0.25, 0.75, 1.0]

    def cancel(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(each_class(model, state_of(model), samples, range(4), progress=cancel))
