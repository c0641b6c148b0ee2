"""One module out of several networks of one architecture: what a model trained in shards is served as.

A *constituent* is a network that learned from its own shard of the data ("Machine unlearning", Bourtoule et
al., IEEE S&P 2021, section IV). Their answers are aggregated as the mean of their probabilities, the paper's
second strategy. The mean bounds what a single constituent can do to an answer, however sure of itself it is,
and keeps the confidences that audits and serving read, which a vote would not.

The ensemble's state is that of all constituents in one mapping: `constituents.2.head.weight` is the third's
`head.weight`. A single constituent is no ensemble: its state and its network are its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from workers.numerics.params import Params

FACTORY = f"{__name__}:Ensemble"
"""The name under which `architectures.build` makes one."""

_PREFIX = "constituents"


class Ensemble(nn.Module):
    """Networks whose probabilities are averaged.

    Args:
        constituents: at least one, of one architecture.
    """

    def __init__(self, constituents: Sequence[nn.Module]) -> None:
        super().__init__()
        self.constituents = nn.ModuleList(constituents)

    def forward(self, images: Tensor) -> Tensor:
        """Return log mean_s softmax(f_s(images)); [n, C, H, W] -> [n, num_classes].

        They are logits whose softmax is the mean of the constituents' probabilities.
        """
        answers = [torch.log_softmax(one(images), dim=1) for one in self.constituents]
        return torch.logsumexp(torch.stack(answers), dim=0) - math.log(len(answers))  # [S, n, K] -> [n, K]


def combined(build: Callable[[], nn.Module], num_constituents: int) -> nn.Module:
    """Return a new network as it is served: an ensemble, or the network itself if it is the only one."""
    if num_constituents == 1:
        return build()
    return Ensemble([build() for _ in range(num_constituents)])


def description(factory: str, arguments: Mapping[str, Any], num_constituents: int) -> dict[str, Any]:
    """Return the factory and the arguments by which `architectures.build` makes what is served, as JSON."""
    if num_constituents == 1:
        return {"factory": factory, "arguments": dict(arguments)}
    inner = {"of": factory, "arguments": dict(arguments), "num": num_constituents}
    return {"factory": FACTORY, "arguments": inner}


def join(states: Sequence[Params]) -> Params:
    """Return the state of the ensemble of constituents in these states; the tensors are the same."""
    if len(states) == 1:
        return dict(states[0])
    return {
        f"{_PREFIX}.{number}.{name}": tensor
        for number, state in enumerate(states)
        for name, tensor in state.items()
    }


def constituent(params: Params, number: int, num_constituents: int) -> Params:
    """Return one constituent's state out of the ensemble's; the inverse of `join`, tensor by tensor."""
    if num_constituents == 1:
        return dict(params)
    prefix = f"{_PREFIX}.{number}."
    return {name.removeprefix(prefix): tensor for name, tensor in params.items() if name.startswith(prefix)}
