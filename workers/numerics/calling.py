"""Calls a model as a function of its parameters, and leaves it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workers.numerics.params import Params


class CallError(ValueError):
    """A model does not answer a batch of images with one row of logits a sample."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode for the block, then each back into the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def device_of(params: Params) -> torch.device:
    """Return the device that the parameters are on."""
    return next(iter(params.values())).device


def like(images: Tensor, params: Params) -> Tensor:
    """Return images on the device and in the floating type of `params`."""
    reference = next((tensor for tensor in params.values() if tensor.is_floating_point()), images)
    return images.to(device=reference.device, dtype=reference.dtype)


def logits(model: nn.Module, params: Params, images: Tensor) -> Tensor:
    """Return model(images) with `params` for the model's own values; [n, C, H, W] -> [n, num_classes].

    Runs on the device and in the floating type of `params`. Tied parameters need only their first name.

    Raises:
        CallError: the output is not a tensor of n rows.
    """
    output = torch.func.functional_call(model, params, (like(images, params),))
    return check_logits(output, len(images))


def check_logits(output: object, num_samples: int) -> Tensor:
    """Return a model's output if it is logits, [num_samples, num_classes].

    Raises:
        CallError: it is not.
    """
    if isinstance(output, Tensor) and output.ndim == 2 and len(output) == num_samples:
        return output
    shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise CallError(
        f"expected logits of shape [{num_samples}, num_classes], got {shape}; "
        "register a model that classifies images"
    )
