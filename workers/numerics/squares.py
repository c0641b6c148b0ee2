"""For each kind of layer: the sum over samples of its parameters' squared gradients, from one batch.

A layer has, for sample n, inputs A_n [places, in] and gradients D_n [out, places] of the sample's loss at its
outputs, where places are pixels, tokens, or a single one. Its parameters' gradients are

    linear, convolution   weight: D_n A_n           bias:  sum over places of D_n
    normalisation         scale: sum of D_n X_n     shift: sum over places of D_n

with X_n the normalised inputs; the running statistics of batch norm are constants. Every rule returns the
sum over n of their elementwise squares, exactly. With one place (D_n A_n)^2 = D_n^2 A_n^2, so the sum is one
product of matrices (Goodfellow, "Efficient per-example gradient computations", 2015). With more, the D_n A_n
are formed for as many samples at a time as hold CHUNK_ELEMENTS, never for all.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Rule: TypeAlias = Callable[[Any, Tensor, Tensor], dict[str, Tensor]]
"""(layer, inputs [n, ...], gradients of the summed loss at its outputs [n, ...]) -> parameter name -> sum."""

CHUNK_ELEMENTS = 2**22


def linear(layer: nn.Linear, inputs: Tensor, gradients: Tensor) -> dict[str, Tensor]:
    """Inputs [n, ..., in], gradients [n, ..., out]."""
    places = inputs.reshape(len(inputs), -1, layer.in_features)  # [n, places, in]
    gradients = gradients.reshape(len(gradients), -1, layer.out_features).mT  # [n, out, places]
    return {
        "weight": _sum_of_squared_products(gradients, places),
        "bias": gradients.sum(-1).square().sum(0),
    }


def convolution(layer: nn.Conv2d, inputs: Tensor, gradients: Tensor) -> dict[str, Tensor]:
    """Inputs [n, in, H, W], gradients [n, out, H', W']; any stride, padding, dilation and groups."""
    padded = functional.pad(inputs, _padding(layer), _padding_mode(layer))
    gradients = gradients.flatten(2)  # [n, out, places]
    # [n, groups, out / groups, places]
    grouped = gradients.reshape(len(gradients), layer.groups, -1, gradients.shape[-1])
    patch = layer.weight[0].numel()  # in / groups * kernel height * kernel width
    weight = torch.zeros_like(layer.weight)
    for rows in _chunks(len(inputs), layer.groups * patch * gradients.shape[-1]):
        patches = functional.unfold(padded[rows], layer.kernel_size, layer.dilation, 0, layer.stride)
        # [n, groups, places, patch]
        patches = patches.reshape(len(patches), layer.groups, patch, -1).mT
        weight += _sum_of_squared_products(grouped[rows], patches).reshape_as(weight)
    return {"weight": weight, "bias": gradients.sum(-1).square().sum(0)}


def batch_norm(
    layer: nn.BatchNorm1d | nn.BatchNorm2d, inputs: Tensor, gradients: Tensor
) -> dict[str, Tensor]:
    """Inputs and gradients [n, channels, ...], in evaluation mode."""
    normalised = functional.batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)
    by_channel = (len(inputs), layer.num_features, -1)
    return _scale_and_shift(normalised.reshape(by_channel), gradients.reshape(by_channel))


def group_norm(layer: nn.GroupNorm, inputs: Tensor, gradients: Tensor) -> dict[str, Tensor]:
    """Inputs and gradients [n, channels, ...]."""
    normalised = functional.group_norm(inputs, layer.num_groups, eps=layer.eps)
    by_channel = (len(inputs), layer.num_channels, -1)
    return _scale_and_shift(normalised.reshape(by_channel), gradients.reshape(by_channel))


def layer_norm(layer: nn.LayerNorm, inputs: Tensor, gradients: Tensor) -> dict[str, Tensor]:
    """Inputs and gradients [n, ..., *normalised shape]."""
    shape = layer.normalized_shape
    normalised = functional.layer_norm(inputs, shape, eps=layer.eps)
    by_feature = (len(inputs), -1, math.prod(shape))  # [n, places, features]
    sums = _scale_and_shift(normalised.reshape(by_feature).mT, gradients.reshape(by_feature).mT)
    return {name: total.reshape(shape) for name, total in sums.items()}


# By exact type: a subclass may compute something else.
RULES: Mapping[type[nn.Module], Rule] = MappingProxyType(
    {
        nn.Linear: linear,
        nn.Conv2d: convolution,
        nn.BatchNorm1d: batch_norm,
        nn.BatchNorm2d: batch_norm,
        nn.GroupNorm: group_norm,
        nn.LayerNorm: layer_norm,
    }
)


def _sum_of_squared_products(left: Tensor, right: Tensor) -> Tensor:
    """Return sum_n (left_n @ right_n)^2; [n, ..., out, places], [n, ..., places, in] -> [..., out, in]."""
    if left.shape[-1] == 1:
        # [..., out, n] @ [..., n, in]
        return left.square().squeeze(-1).movedim(0, -1) @ right.square().squeeze(-2).movedim(0, -2)
    total = left.new_zeros(*left.shape[1:-1], right.shape[-1])
    for rows in _chunks(len(left), total.numel()):
        total += (left[rows] @ right[rows]).square_().sum(0)
    return total


def _scale_and_shift(normalised: Tensor, gradients: Tensor) -> dict[str, Tensor]:
    """Return the sums of an elementwise scale and shift; both [n, channels, places]."""
    scale = (gradients * normalised).sum(-1)  # [n, channels]
    shift = gradients.sum(-1)
    return {"weight": scale.square().sum(0), "bias": shift.square().sum(0)}


def _chunks(num_samples: int, elements_per_sample: int) -> list[slice]:
    """Cut the samples into runs that hold at most CHUNK_ELEMENTS together, or one sample."""
    size = max(1, CHUNK_ELEMENTS // elements_per_sample)
    return [slice(start, start + size) for start in range(0, num_samples, size)]


def _padding(layer: nn.Conv2d) -> list[int]:
    """Return the pixels a convolution adds: left, right, top, bottom."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    if isinstance(layer.padding, str):  # "same"
        totals = [
            dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)
        ]
        return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
    height, width = layer.padding
    return [width, width, height, height]


def _padding_mode(layer: nn.Conv2d) -> str:
    return "constant" if layer.padding_mode == "zeros" else layer.padding_mode
