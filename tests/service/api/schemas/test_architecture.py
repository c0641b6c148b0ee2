"""Which factories a registration may name: code that a worker will run."""

import pytest

from service.api.schemas.architecture import BUILT_IN, Architecture, permitted_factory
from service.core import errors
from workers.numerics.architectures import OURS

ALLOWED = {"nets.zoo:tiny"}


def permitted(factory: str, **arguments: object) -> str:
    """The spelling under which a factory is kept."""
    return permitted_factory(Architecture(factory=factory, arguments=arguments), ALLOWED)


def test_the_built_in_factories_are_those_the_workers_have():
    assert set(OURS) == BUILT_IN
    assert {permitted(factory) for factory in BUILT_IN} == BUILT_IN


@pytest.mark.parametrize("factory", ["torchvision.models:resnet18", "torchvision.models.resnet18"])
def test_torchvision_has_one_spelling(factory: str):
    assert permitted(factory, num_classes=10, weights=None) == "torchvision.models:resnet18"


def test_a_factory_on_the_allow_list_is_taken_exactly():
    assert permitted("nets.zoo:tiny") == "nets.zoo:tiny"
    with pytest.raises(errors.Invalid):
        permitted("nets.zoo.tiny")


@pytest.mark.parametrize(
    "factory",
    ["os:system", "torchvision.models:resnet.Sub", "torchvision.models:ResNet",
     "torchvision.models:__import__", "torchvision.models.resnet18.x",
     "torchvision.models:resnet18\n", " torchvision.models:resnet18",
     "torchvision.models.segmentation:fcn_resnet50", "nets.zoo:tiny2",
     "workers.numerics.architectures:build"],
)  # fmt: skip
def test_any_other_factory_is_refused(factory: str):
    with pytest.raises(errors.Invalid) as refusal:
        permitted(factory)

    assert refusal.value.code == "factory_not_allowed"


@pytest.mark.parametrize("name", ["weights", "weights_backbone"])
def test_pretrained_weights_cannot_be_asked_for(name: str):
    with pytest.raises(errors.Invalid) as refusal:
        permitted("torchvision.models:resnet18", **{name: "DEFAULT"})

    assert refusal.value.code == "pretrained_not_allowed"
