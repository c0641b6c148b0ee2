"""For each kind of operation: the sum over samples of its weights' squared gradients, from one batch.

Sample n has, in an operation, inputs A_n and gradients D_n of its loss at the operation's outputs, both at
many places: pixels, tokens, or a single one. With X_n the normalised inputs, the gradients are

    linear, convolution   weight: D_n A_n, the product summed over places     bias: D_n summed over places
    embedding             row v: D_n summed over the places that hold v
    normalisation         scale: D_n X_n summed over places                   shift: D_n summed over places

where a convolution's A_n holds the patch around each place, and a batch norm's statistics are constants.
Every rule adds the sum over n of their elementwise squares, exactly, and forms none for all n at once.

Rules are found by function, not by kind of module, so a weight counts wherever it works. Each entry of
`OPERATIONS` has its function's own signature and says how that call would be squared, or None if it cannot.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics import convolutions
from workers.numerics.products import add_squared_products, block_elements

Rule: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], None]
"""(inputs [n, items, ...], gradients [n, items, ...], sums of the weight and of the bias, to be added to in
place, None if not wanted). Items are what one sample has along the axis that holds the samples; mostly 1."""


@dataclass(frozen=True)
class Operation:
    """One call of a function that has weights.

    Attributes:
        inputs: as the function saw them.
        weight: or scale; None if it has none.
        bias: or shift; None if it has none.
        rule: adds the squares.
        is_batch_first: samples must lie along the first axis.
    """

    inputs: Tensor
    weight: Tensor | None
    bias: Tensor | None
    rule: Rule
    is_batch_first: bool = True

    @property
    def parameters(self) -> list[Tensor]:
        """Those of weight and bias that are trained parameters themselves, not made of some."""
        return [value for value in (self.weight, self.bias) if value is not None and is_trained(value)]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Operation | None:
    """Inputs [..., in]."""
    return Operation(input, weight, bias, _add_linear, is_batch_first=False)


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Operation | None:
    """Inputs [n, in, *pixels] in one to three dimensions."""
    if input.ndim != weight.ndim:
        return None
    geometry = convolutions.Geometry.of(weight, stride, padding, dilation, groups)
    return Operation(input, weight, bias, partial(convolutions.add_squares, geometry=geometry))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Operation | None:
    """Inputs [n, channels, ...]."""
    if training or running_mean is None or running_var is None:
        return None
    return Operation(
        input, weight, bias, partial(_add_batch_norm, mean=running_mean, scale=(running_var + eps).rsqrt())
    )


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Operation | None:
    """Inputs [n, channels, ...]."""
    return Operation(input, weight, bias, partial(_add_group_norm, num_groups=num_groups, eps=eps))


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Operation | None:
    """Inputs [..., *normalised shape]."""
    rule = partial(_add_layer_norm, shape=tuple(normalized_shape), eps=eps)
    return Operation(input, weight, bias, rule, is_batch_first=False)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Operation | None:
    """Inputs are numbers of rows, [...]."""
    if max_norm is not None or scale_grad_by_freq:
        return None
    padding = None if padding_idx is None else padding_idx % len(weight)
    return Operation(input, weight, None, partial(_add_embedding, padding_row=padding), is_batch_first=False)


def is_trained(tensor: Tensor) -> bool:
    """Whether this is a leaf of autograd's graph that takes part in training."""
    return tensor.is_leaf and tensor.requires_grad


OPERATIONS: Mapping[Callable[..., Tensor], Callable[..., Operation | None]] = MappingProxyType(
    {
        functional.linear: linear,
        functional.conv1d: convolution,
        functional.conv2d: convolution,
        functional.conv3d: convolution,
        functional.batch_norm: batch_norm,
        functional.group_norm: group_norm,
        functional.layer_norm: layer_norm,
        functional.embedding: embedding,
    }
)


def _add_linear(inputs: Tensor, gradients: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
    left = gradients.flatten(1, -2).mT  # [n, out, places]
    if weight is not None:
        add_squared_products(weight[None], left[:, None], inputs.flatten(1, -2)[:, None])
    if bias is not None:
        bias += left.sum(-1).square().sum(0)


def _add_batch_norm(
    inputs: Tensor,
    gradients: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    mean: Tensor,
    scale: Tensor,
) -> None:
    """Inputs and gradients [n, items, channels, ...]."""
    _add_scale_and_shift(inputs, gradients, weight, bias, lambda some: some - mean[:, None], scale)


def _add_group_norm(
    inputs: Tensor,
    gradients: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    num_groups: int,
    eps: float,
) -> None:
    """Inputs and gradients [n, items, channels, ...]."""
    _add_scale_and_shift(
        inputs,
        gradients,
        weight,
        bias,
        lambda some: functional.group_norm(some.flatten(0, 1), num_groups, eps=eps).view_as(some),
    )


def _add_scale_and_shift(
    inputs: Tensor,
    gradients: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    normalise: Callable[[Tensor], Tensor],
    factor: Tensor | float = 1.0,
) -> None:
    """For norms with one scale a channel.

    `normalise` takes and gives [n, items, channels, places], and leaves a factor [channels] out of it.
    """
    inputs = inputs.reshape(*inputs.shape[:3], -1)
    gradients = gradients.reshape(inputs.shape)
    size = max(1, block_elements(inputs.device) // max(1, inputs[0].numel()))
    for start in range(0, len(inputs), size):
        some = gradients[start : start + size]
        if weight is not None:
            weight += (
                normalise(inputs[start : start + size]).mul_(some).sum((1, 3)).mul_(factor).square_().sum(0)
            )
        if bias is not None:
            bias += some.sum((1, 3)).square_().sum(0)


def _add_layer_norm(
    inputs: Tensor,
    gradients: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    shape: tuple[int, ...],
    eps: float,
) -> None:
    """Inputs and gradients [n, items, ..., *shape]."""
    features = math.prod(shape)
    by_place = (len(inputs), -1, features)  # [n, places, features]
    inputs, gradients = inputs.reshape(by_place), gradients.reshape(by_place)
    size = max(1, block_elements(inputs.device) // max(1, inputs[0].numel()))
    for start in range(0, len(inputs), size):
        some = gradients[start : start + size]
        if weight is not None:
            normalised = functional.layer_norm(inputs[start : start + size], (features,), eps=eps)
            weight += normalised.mul_(some).sum(1).square_().sum(0).view(shape)
        if bias is not None:
            bias += some.sum(1).square_().sum(0).view(shape)


def _add_embedding(
    inputs: Tensor,
    gradients: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    padding_row: int | None,
) -> None:
    """Inputs [n, items, ...], gradients [n, items, ..., features]."""
    if weight is None:
        return
    num_rows = len(weight)
    rows = inputs.flatten(1)  # [n, places]
    samples = torch.arange(len(rows), device=rows.device)[:, None]
    # One number for each pair of a sample and a row that it holds.
    pairs, index = (samples * num_rows + rows).flatten().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    own = gradients.new_zeros(len(pairs), weight.shape[1]).index_add_(0, index, gradients.flatten(0, -2))
    rows_of_pairs = pairs % num_rows
    if padding_row is not None:
        own[rows_of_pairs == padding_row] = 0
    weight.index_add_(0, rows_of_pairs, own.square_())
