"""A network's output channels, the unit in which memories are looked for: what feeds one output of one layer.

A *channel* is the slice of a layer's tensors that belongs to one of its outputs: a neuron's incoming
weights with its bias, a convolution's filter with its bias, batch norm's scale and shift of one feature map.
A *block* is a layer's channels, all of one size. A tensor without such an axis, as a position embedding, is
taken along its first axis; a scalar is one channel.

Channels are numbered through all blocks, from the input to the output, as `numerics.layers` orders them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics.layers import layers

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # weight [in, out, ...]


@dataclass(frozen=True)
class Block:
    """The channels of one layer.

    Attributes:
        axes: name of a trainable parameter -> its axis of output channels.
        num_channels: length of that axis, the same for all.
        size: weights of one channel, all tensors together.
    """

    axes: Mapping[str, int]
    num_channels: int
    size: int

    def rows(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the block's values channel by channel, [num_channels, size]."""
        slices = [
            tensors[name].reshape(self.num_channels, -1)
            if tensors[name].ndim == 0
            else tensors[name].movedim(axis, 0).reshape(self.num_channels, -1)
            for name, axis in self.axes.items()
        ]
        return torch.cat(slices, dim=1)

    def masks(self, chosen: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Return name -> bool tensor of the parameter's shape, True in the chosen channels.

        Args:
            chosen: bool [num_channels].
            shapes: of the block's tensors.
        """
        found = {}
        for name, axis in self.axes.items():
            along = [1] * len(shapes[name])
            if along:
                along[axis] = self.num_channels
            found[name] = chosen.reshape(along).expand(shapes[name]).clone()
        return found


def blocks(model: nn.Module) -> tuple[Block, ...]:
    """Return the trainable parameters' blocks; tensors of a layer that count differently make several."""
    found = []
    for layer in layers(model):
        is_transposed = isinstance(model.get_submodule(layer.name), _TRANSPOSED)
        by_length: dict[int, dict[str, int]] = {}
        for name in layer.parameters:
            shape = model.get_parameter(name).shape
            axis = 1 if is_transposed and len(shape) > 1 else 0
            by_length.setdefault(shape[axis] if shape else 1, {})[name] = axis
        for length, axes in by_length.items():
            total = sum(model.get_parameter(name).numel() for name in axes)
            found.append(Block(axes, length, total // max(length, 1)))
    return tuple(found)


def sizes(all_blocks: Sequence[Block]) -> Tensor:
    """Return the weights of each channel, int64 [channels of all blocks]."""
    return torch.cat([torch.full((block.num_channels,), block.size) for block in all_blocks])


def masks(all_blocks: Sequence[Block], chosen: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Return the masks of the chosen channels; a tensor with none of them has no mask.

    Args:
        all_blocks: in the order in which their channels are numbered.
        chosen: bool [channels of all blocks].
        shapes: of all their tensors.
    """
    parts = torch.split(chosen, [block.num_channels for block in all_blocks])
    found: dict[str, Tensor] = {}
    for block, part in zip(all_blocks, parts, strict=True):
        if bool(part.any()):
            found |= block.masks(part, shapes)
    return found


def top_mean(rows: Tensor, share: float) -> Tensor:
    """Return the mean of the largest values of each row, [channels, size] -> [channels].

    Args:
        rows: scores.
        share: of a row's values that counts, in (0, 1]; at least one value does, in the smallest row too.
    """
    size = rows.shape[1]
    return rows.topk(min(size, max(1, math.ceil(share * size))), dim=1).values.mean(dim=1)
