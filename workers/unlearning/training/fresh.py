"""Initial values, as a training would draw them: what a method puts in the place of weights it takes out."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.params import Params, state_of
from workers.unlearning.base import ForgetProblem


def initial(problem: ForgetProblem) -> Params:
    """Return a newly drawn state of the architecture, on the problem's device, in the dtypes of its weights.

    It follows from `problem.seed` alone, and is not the state that the training started from. An architecture
    whose factory loads weights gives those; whoever resets layers of such a network resets them to these.
    """
    with seeding.isolated(torch.device("cpu"), problem.seed, "fresh"):
        drawn = state_of(problem.build())
    return {name: drawn[name].to(tensor) for name, tensor in problem.params.items()}


def reset(problem: ForgetProblem, params: Params, names: Collection[str]) -> Params:
    """Return `params` with new initial values for these tensors; nothing is changed in place."""
    drawn = initial(problem)
    return {name: drawn[name] if name in names else tensor for name, tensor in params.items()}


def reset_where(problem: ForgetProblem, params: Params, masks: Mapping[str, Tensor]) -> Params:
    """Return `params` with new initial values where a mask holds; nothing is changed in place.

    Args:
        problem: whose architecture, seed and device count.
        params: a full state.
        masks: name -> bool tensor of the parameter's shape; a tensor without a mask stays.
    """
    drawn = initial(problem)
    return {
        name: torch.where(masks[name], drawn[name], tensor) if name in masks else tensor
        for name, tensor in params.items()
    }
