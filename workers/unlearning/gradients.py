"""Gradients of the cross entropy at fixed weights: of a set, of a batch, or of single samples as rows.

The network runs in evaluation mode. Computation is in float32 where the weights are in half precision.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.numerics import calling, copies
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names

BATCH_SIZE = 256  # bounds the memory, and nothing else


def summed(model: nn.Module, params: Params, samples: SampleSet) -> Params:
    """Return the sum over samples of the gradient of each sample's loss; zeros for none.

    Args:
        model: gives the structure and says what is trainable; not changed.
        params: a full state; not changed.
        samples: [n].

    Returns:
        A new tensor for each trainable parameter, under its name.

    Raises:
        CallError: the output is not one row of logits a sample.
        DatasetRowError: a row cannot be read.
    """
    network = copies.private(model, params)
    weights = _weights(network)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for images, labels in samples.batches(BATCH_SIZE):
        for name, gradient in answered(network, weights, images, labels)[1].items():
            total[name] += gradient * len(labels)
    return {name: each.detach() for name, each in total.items()}


def mean(model: nn.Module, params: Params, samples: SampleSet) -> Params:
    """Return the gradient of the samples' mean loss, as `summed` does; at least one sample."""
    return {name: each / len(samples) for name, each in summed(model, params, samples).items()}


def answered(
    network: nn.Module, weights: Mapping[str, Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, Params]:
    """Return a batch's logits and the gradient of its mean loss.

    Args:
        network: in the mode it is to run in.
        weights: its trainable parameters, by name.
        images: [n, C, H, W].
        labels: int64 [n].

    Returns:
        Logits [n, num_classes], and name -> gradient, zero where the loss does not depend on a weight.

    Raises:
        CallError: the output is not one row of logits a sample.
    """
    with torch.enable_grad():
        logits = calling.check_logits(network(calling.like(images, {**weights})), len(images))
        loss = functional.cross_entropy(logits, labels.to(logits.device))
    found = torch.autograd.grad(loss, [*weights.values()], allow_unused=True)
    return logits.detach(), {
        name: torch.zeros_like(weight) if gradient is None else gradient
        for (name, weight), gradient in zip(weights.items(), found, strict=True)
    }


def rows(model: nn.Module, params: Params, samples: SampleSet) -> Tensor:
    """Return the gradient of each sample's own loss as a row; [n, P], all trainable parameters in order.

    Costs a forward and a backward pass a sample, and n times the memory of the weights.

    Args:
        model: as in `summed`.
        params: as in `summed`.
        samples: [n].

    Raises:
        CallError: the output is not one row of logits a sample.
        DatasetRowError: a row cannot be read.
    """
    network = copies.private(model, params)
    weights = _weights(network)
    found = [
        flat([*answered(network, weights, images, labels)[1].values()])
        for images, labels in samples.batches(1)
    ]
    return torch.stack(found) if found else flat([*weights.values()]).new_zeros(0, _size(weights))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of any shapes as one vector, [P]."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def shaped(vector: Tensor, like: Mapping[str, Tensor]) -> Params:
    """Return a vector [P] as tensors of the names and shapes of `like`; the inverse of `flat`."""
    parts = torch.split(vector, [tensor.numel() for tensor in like.values()])
    return {name: part.view_as(like[name]) for name, part in zip(like, parts, strict=True)}


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: network.get_parameter(name) for name in trainable_names(network)}


def _size(weights: Mapping[str, Tensor]) -> int:
    return sum(weight.numel() for weight in weights.values())
