"""Builds a model from the name of its factory: torchvision's, our own, or one an operator allows.

Nothing else is imported or called, so a registration can run no code of the sender's choice. torchvision's
models are imported when one is first asked for: they draw in torch's compiler, as long as torch itself.
"""

import importlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from workers.numerics import ensembles

_TORCHVISION = "torchvision.models"


class ArchitectureError(ValueError):
    """An architecture is unknown, not allowed, or cannot be built from the given arguments."""


def build(factory: str, arguments: Mapping[str, Any], allowed: Collection[str] = frozenset()) -> nn.Module:
    """Build an untrained model; its initial values come from torch's global generator.

    Args:
        factory: "module:callable".
        arguments: keyword arguments, JSON values. Pretrained weights may not be asked for.
        allowed: further "module:callable" names that may be imported and called.

    Returns:
        A new module on the CPU.

    Raises:
        ArchitectureError: the factory is not allowed or not there, or refuses the arguments.
    """
    if factory == ensembles.FACTORY:
        return _ensemble(arguments, allowed)
    make = _find(factory, allowed)
    if any(value is not None for name, value in arguments.items() if name.startswith("weights")):
        raise ArchitectureError(
            f"expected no pretrained weights for {factory}, got a `weights` argument; "
            "leave it out and upload the weights"
        )
    try:
        model = make(**arguments)
    except (TypeError, ValueError) as error:
        raise ArchitectureError(
            f"expected arguments that {factory} accepts, got {sorted(arguments)} ({error}); correct them"
        ) from error
    if not isinstance(model, nn.Module):
        raise ArchitectureError(f"expected {factory} to return a torch module, got {type(model).__name__}")
    return model


def small_cnn(in_channels: int = 1, num_classes: int = 10, width: int = 16) -> nn.Module:
    """Return a convolutional classifier for small images: two blocks, a pool, a third block, a head.

    Each block is convolution, batch norm, rectifier; the last has twice the width and is averaged over all
    pixels.
    """
    _check_positive(in_channels=in_channels, num_classes=num_classes, width=width)
    features = nn.Sequential(
        *_block(in_channels, width),
        *_block(width, width),
        nn.MaxPool2d(2),
        *_block(width, 2 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return nn.Sequential(OrderedDict(features=features, head=nn.Linear(2 * width, num_classes)))


def mlp(in_features: int, hidden: int = 128, num_classes: int = 10) -> nn.Module:
    """Return a classifier with one hidden layer of rectifiers; in_features is C * H * W."""
    _check_positive(in_features=in_features, hidden=hidden, num_classes=num_classes)
    features = nn.Sequential(nn.Flatten(), nn.Linear(in_features, hidden), nn.ReLU())
    return nn.Sequential(OrderedDict(features=features, head=nn.Linear(hidden, num_classes)))


OURS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {f"{__name__}:{factory.__name__}": factory for factory in (small_cnn, mlp)}
)


def _find(factory: str, allowed: Collection[str]) -> Callable[..., Any]:
    """Return the callable of an allowed name."""
    if factory in OURS:
        return OURS[factory]
    module_name, _, name = factory.partition(":")
    if module_name == _TORCHVISION:
        models = importlib.import_module(_TORCHVISION)
        if name in models.list_models(module=models):
            return models.get_model_builder(name)  # type: ignore[no-any-return]
    if factory not in allowed:
        raise ArchitectureError(
            f"expected {_TORCHVISION}:NAME of a registered classifier, one of {', '.join(OURS)}, "
            f"or a factory on the operator's allow list, got {factory!r}; ask the operator to allow it"
        )
    try:
        return getattr(importlib.import_module(module_name), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise ArchitectureError(
            f"expected {factory} on the allow list to exist, got {error}; install it beside the worker"
        ) from error


def _ensemble(arguments: Mapping[str, Any], allowed: Collection[str]) -> nn.Module:
    """Build what `ensembles.description` describes."""
    if arguments.keys() != {"of", "arguments", "num"} or arguments["of"] == ensembles.FACTORY:
        raise ArchitectureError(
            f"expected an ensemble described by of, arguments and num, got {sorted(arguments)}; correct it"
        )
    _check_positive(num=arguments["num"])
    of, inner = arguments["of"], arguments["arguments"]
    return ensembles.combined(lambda: build(of, inner, allowed), arguments["num"])


def _block(in_channels: int, out_channels: int) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


def _check_positive(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ArchitectureError(f"expected {name} to be an integer from 1 up, got {value!r}; correct it")
