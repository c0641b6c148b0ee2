"""Every sample's own gradient of its loss, as the rows of a matrix, a few samples at a time.

Rows are laid out like `flat`: the named parameters one after the other, each in its own order of entries.
A network whose samples see each other (batch norm in training mode) or that draws numbers (dropout) has no
such gradients: callers refuse it beforehand by `obstacles`, and hold the rows' mean against the batch's
gradient, which finds what no list of layers can.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from workers.numerics.params import Params

ROWS_BYTES = 1 << 28
"""Memory for the gradients of the samples that are looked at together."""


def obstacles(model: nn.Module) -> tuple[str, ...]:
    """Return the names of layers that keep a sample's gradient from being its own in training mode."""
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0)
    )


def flat(tensors: Mapping[str, Tensor | None], like: Mapping[str, Tensor]) -> Tensor:
    """Return tensors laid end to end, [P], in the order of `like`; zeros for one that is None."""
    return torch.cat(
        [
            (torch.zeros_like(own) if (one := tensors[name]) is None else one).detach().reshape(-1)
            for name, own in like.items()
        ]
    )


def unflatten(values: Tensor, shapes: Sequence[tuple[str, Sequence[int]]]) -> Params:
    """Return named tensors out of one that `flat` laid end to end; the inverse of `flat`."""
    parts = torch.split(values, [torch.Size(shape).numel() for _, shape in shapes])
    return {name: part.reshape(*shape) for (name, shape), part in zip(shapes, parts, strict=True)}


def rows(
    model: nn.Module, names: Sequence[str], images: Tensor, labels: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Yield (index of the first sample, gradients [n, P]) until every sample was given once.

    Args:
        model: in the mode that counts, at the weights that count; not changed.
        names: of the parameters to differentiate by, P scalars in all.
        images: [b, C, H, W] on the model's device, in its floating type.
        labels: int64 [b], on the same device.

    Raises:
        RuntimeError: torch cannot vectorise this network, as it says.
    """
    state = {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    own = {name: state.pop(name) for name in names}

    def loss(parameters: Params, image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, {**state, **parameters}, (image[None],))
        return functional.cross_entropy(logits, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    bytes_each = sum(tensor.numel() * tensor.element_size() for tensor in own.values())
    size = max(1, ROWS_BYTES // max(1, bytes_each))
    for start in range(0, len(images), size):
        found = each(own, images[start : start + size], labels[start : start + size])
        yield start, torch.cat([found[name].flatten(1) for name in own], dim=1)  # [n, P]
