"""Losses whose per-sample gradients an importance is made of: each adds up the losses of a batch's samples.

A loss takes logits [n, classes] and labels [n], and returns one number, the sum over the samples of each
sample's own loss. A mean over the batch is no such loss: every gradient would be divided by the batch's size.
"""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional

SummedLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(logits [n, classes], labels [n]) -> scalar, the sum over samples of each one's own loss."""


class FisherError(ValueError):
    """The per-sample gradients of this model, loss or data are not defined."""


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over samples of -log p(label), the loss of the empirical Fisher information.

    Raises:
        FisherError: a label is below 0 or has no logit.
    """
    # On a GPU, a label past the last logit would end the process.
    lowest, highest = (int(bound) for bound in labels.aminmax())
    if lowest < 0:
        raise FisherError(f"expected labels of 0 or more, got {lowest}; leave samples without a class out")
    if highest >= logits.shape[1]:
        raise FisherError(
            f"expected labels below the model's {logits.shape[1]} outputs, got {highest}; "
            "register the architecture with as many classes as the data set has"
        )
    return functional.cross_entropy(logits, labels, reduction="sum")


def squared_norm(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over samples of ||logits||_2^2; the labels play no part.

    Source: "Loss-free machine unlearning" (Foster, Schoepf, Brintrup; 2024), whose importance is the
    sensitivity of this norm, so that a forget request needs no labels.
    """
    del labels
    return logits.square().sum()
