"""The slow, plain reference for diagonal Fishers: one backward pass a sample, squares summed in float64."""

import torch
from torch import Tensor, nn

from workers.numerics.losses import SummedLoss
from workers.numerics.params import Params


def sum_of_squared_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, loss_of: SummedLoss = nn.functional.cross_entropy
) -> Params:
    """Return the sum over samples of each trainable parameter's squared gradients; the model evaluates."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    sums = {name: torch.zeros_like(parameter, dtype=torch.float64) for name, parameter in trainable.items()}
    for image, label in zip(images, labels, strict=True):
        loss = loss_of(model(image[None]), label[None])
        gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
        for name, gradient in zip(trainable, gradients, strict=True):
            if gradient is not None:
                sums[name] += gradient.double().square()
    return sums
