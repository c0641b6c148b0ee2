"""Networks that are asked and do not learn: the model as it was, or one that never learned anything."""

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies
from workers.numerics.params import Params
from workers.unlearning.training.descent import Network


def teacher(model: nn.Module, params: Params) -> Network:
    """Return a network at fixed weights, in evaluation mode, whose answers carry no gradient.

    It answers in float32 where the weights are in half precision, as the network in a descent does.

    Args:
        model: gives the structure; not changed.
        params: a full state, copied.

    Raises:
        WeightsError: `params` is no state of `model`.
    """
    network = copies.private(model, params)

    @torch.no_grad()
    def answer(images: Tensor) -> Tensor:
        return calling.check_logits(network(images), len(images))

    return answer
