"""What a step makes smaller, as a function of the network and one batch; each is a mean over the samples."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.training.descent import Batch, Network


def cross_entropy(network: Network, batch: Batch) -> Tensor:
    """Return the mean of -log p(label); scalar."""
    return functional.cross_entropy(network(batch.images), batch.labels)


def of_one_set(network: Network, batches: Sequence[Batch]) -> Tensor:
    """Return the cross entropy on a step's only batch; scalar. The loss of a plain training on one set."""
    (batch,) = batches
    return cross_entropy(network, batch)


def divergence(network: Network, batch: Batch, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean over samples of KL(teacher || network), in nats; scalar.

    Args:
        network: whose answer is to come near the teacher's.
        batch: n samples.
        teacher: logits [n, num_classes], without gradients.
        temperature: divides both logits; the loss is not rescaled for it.
    """
    told = functional.log_softmax(network(batch.images) / temperature, dim=1)
    asked = functional.log_softmax(teacher / temperature, dim=1)
    return functional.kl_div(told, asked, reduction="batchmean", log_target=True)


def divergence_from_uniform(network: Network, batch: Batch) -> Tensor:
    """Return the mean over samples of KL(uniform || network), in nats; scalar."""
    logits = network(batch.images)
    return divergence(lambda _: logits, batch, torch.zeros_like(logits))
