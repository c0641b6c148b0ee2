"""Finds the last layer of a classifier by what it does: one row a class, that moves this class's logit alone.

Names and positions would guess: a head may be called anything, be a convolution before a pool, or not be the
module registered last. The gradient of one logit does not: of a tensor with one row a class, it is zero in
every row but the class's own exactly if no other row takes part in this logit.
"""

import torch
from torch import Tensor, nn

from workers.numerics import calling
from workers.numerics.params import Params, trainable_names


def row_gradients(
    model: nn.Module, params: Params, image: Tensor, label: int, num_classes: int
) -> dict[str, Tensor]:
    """Return how one logit depends on its own row of the last layer; one forward and one backward pass.

    The network runs in evaluation mode.

    Args:
        model: gives the structure and says what is trainable; not changed.
        params: a full state; not changed.
        image: [C, H, W].
        label: whose logit.
        num_classes: rows of the last layer.

    Returns:
        Name -> d logit[label] / d tensor[label], of the tensor's row's shape, device and dtype. Empty if the
        network mixes classes after its last weights, as one that returns log-probabilities does.

    Raises:
        CallError: the output is no row of logits.
    """
    fitting = {
        name: params[name].detach().clone().requires_grad_()
        for name in trainable_names(model)
        if params[name].ndim > 0 and len(params[name]) == num_classes
    }
    if not fitting:
        return {}
    with calling.evaluating(model), torch.enable_grad():
        logit = calling.logits(model, {**params, **fitting}, image[None])[0, label]
        gradients = torch.autograd.grad(logit, [*fitting.values()], allow_unused=True)
    rows = {}
    for name, gradient in zip(fitting, gradients, strict=True):
        if gradient is None:
            continue
        is_reached = gradient.flatten(1).any(1) if gradient.ndim > 1 else gradient != 0
        if bool(is_reached[label]) and int(is_reached.sum()) == 1:
            rows[name] = gradient[label]
    return rows
