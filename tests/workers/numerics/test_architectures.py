"""Factories by name: ours and torchvision's are built, everything else needs the operator."""

import pytest
import torch
from torch import nn

from workers.numerics import architectures
from workers.numerics.architectures import ArchitectureError, build


def test_our_networks_give_one_logit_a_class():
    cnn = build("workers.numerics.architectures:small_cnn", {"in_channels": 3, "num_classes": 4, "width": 2})
    mlp = build("workers.numerics.architectures:mlp", {"in_features": 12, "hidden": 5, "num_classes": 1})

    assert cnn(torch.rand(2, 3, 8, 8)).shape == (2, 4)
    assert mlp(torch.rand(2, 3, 2, 2)).shape == (2, 1)


def test_a_torchvision_classifier_is_built_untrained():
    model = build("torchvision.models:squeezenet1_1", {"num_classes": 3, "weights": None})

    assert model.num_classes == 3


@pytest.mark.parametrize("argument", ["weights", "weights_backbone"])
def test_pretrained_weights_may_not_be_asked_for(argument):
    with pytest.raises(ArchitectureError, match="no pretrained weights"):
        build("torchvision.models:resnet18", {argument: "DEFAULT"})


@pytest.mark.parametrize(
    "factory",
    [
        "os:system",
        "torchvision.models:get_model",
        "torchvision.models:_utils",
        "torch.nn:Linear",
        "resnet18",
        "",
    ],
)
def test_a_factory_not_on_the_allow_list_is_refused(factory):
    with pytest.raises(ArchitectureError, match="ask the operator to allow it"):
        build(factory, {})


def test_an_allowed_factory_is_imported_and_called():
    model = build("torch.nn:Linear", {"in_features": 2, "out_features": 3}, allowed={"torch.nn:Linear"})

    assert isinstance(model, nn.Linear)


def test_an_allowed_factory_that_does_not_exist_says_so():
    with pytest.raises(ArchitectureError, match="install it beside the worker"):
        build("nowhere.at_all:model", {}, allowed={"nowhere.at_all:model"})


def test_an_allowed_factory_must_return_a_module():
    with pytest.raises(ArchitectureError, match="to return a torch module, got dict"):
        build("builtins:dict", {}, allowed={"builtins:dict"})


@pytest.mark.parametrize("arguments", [{"widht": 2}, {"width": 0}, {"width": "16"}, {"num_classes": True}])
def test_arguments_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ArchitectureError, match="correct"):
        build(f"{architectures.__name__}:small_cnn", arguments)
