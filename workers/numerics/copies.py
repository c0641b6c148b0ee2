"""A private copy of a network at given weights, for whoever must hand autograd a module of its own."""

import copy

import torch
from torch import nn

from workers.numerics import calling
from workers.numerics.params import Params, load_params

HALVES = (torch.float16, torch.bfloat16)


def private(model: nn.Module, params: Params) -> nn.Module:
    """Return a copy of the model with these weights, on their device, in evaluation mode.

    A network in half precision becomes one in float32: in half, squares and small steps round to nothing.

    Raises:
        WeightsError: `params` is no state of `model`.
    """
    network = copy.deepcopy(model).to(calling.device_of(params))
    load_params(network, params)
    if any(tensor.dtype in HALVES for tensor in (*network.parameters(), *network.buffers())):
        network.float()
    return network.eval()
