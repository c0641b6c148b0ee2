"""The gradient of the forget set's mean loss: what all strategies that look at data start from."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.numerics import calling, copies
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names

BATCH_SIZE = 256


def mean_gradient(model: nn.Module, params: Params, samples: SampleSet) -> dict[str, Tensor]:
    """Return d/dw of the mean cross entropy over the samples; batches only bound the memory.

    The network runs in evaluation mode. A half-precision network's gradient is taken in float32.

    Args:
        model: gives the structure and says what is trainable; not changed.
        params: a full state; not changed.
        samples: at least one.

    Returns:
        Name -> gradient of each trainable parameter, zero where the loss does not depend on it; on the
        device of `params`, in their dtype or wider.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    network = copies.private(model, params)
    weights = {name: network.get_parameter(name) for name in trainable_names(network)}
    found = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for images, labels in samples.batches(BATCH_SIZE):
        _, each = answered(network, weights, images, labels)
        found = {name: found[name] + each[name] * (len(labels) / len(samples)) for name in found}
    return found


def answered(
    network: nn.Module, weights: Mapping[str, Tensor], images: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a batch's logits and the gradient of its mean cross entropy.

    Args:
        network: in the mode it is to run in.
        weights: its trainable parameters, by name.
        images: [n, C, H, W].
        labels: int64 [n].

    Returns:
        Logits [n, num_classes], and name -> gradient, zero where the loss does not depend on a weight.
    """
    with torch.enable_grad():
        logits = calling.check_logits(network(calling.like(images, dict(weights))), len(images))
        loss = functional.cross_entropy(logits, labels.to(logits.device))
        found = torch.autograd.grad(loss, [*weights.values()], allow_unused=True)
    return logits.detach(), {
        name: torch.zeros_like(weight) if one is None else one
        for (name, weight), one in zip(weights.items(), found, strict=True)
    }
