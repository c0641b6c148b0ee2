"""Seventh entry of the NeurIPS 2023 unlearning competition (Jiaxi Sun): reset the head, shake nine layers.

As the slides of `rebuilding` describe it, from retained data alone:

1. The last layer is reset.
2. Noise is added to nine layers of the network, drawn at random.
3. All layers are trained on retained data.

Our choices. The noise is normal, three tenths of each tensor's root mean square; the slides give no size. A
network with fewer than nine layers has noise in all but the last, which is new anyway.
"""

from dataclasses import dataclass

import torch

from workers.numerics import seeding
from workers.numerics.layers import layers
from workers.unlearning import head
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import fresh, losses, rebuilding
from workers.unlearning.training.rebuilding import RebuildingParameters


@dataclass(frozen=True)
class NoiseParameters(RebuildingParameters):
    """Settings of the noise beside those of the rebuilding.

    Attributes:
        num_layers: with noise, at most.
        noise: relative to each tensor's size.
    """

    num_layers: int = parameter(9, "Layers that noise is added to, at most.", minimum=0, maximum=100_000)
    noise: float = parameter(
        0.3, "Noise relative to each tensor's root mean square.", minimum=0.0, maximum=100.0
    )


class CompetitionNoise:
    """The method as the registry finds it."""

    name = "competition_noise"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Seventh of the NeurIPS 2023 competition (Jiaxi Sun): resets the last layer, adds noise to nine "
        "others at random, and trains on retained data."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "Looks at the forget set only to find the last layer.",
    )
    Parameters: type[NoiseParameters] = NoiseParameters

    def forget(self, problem: ForgetProblem, parameters: NoiseParameters) -> UnlearnResult:
        """Reset, shake, train.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        last = head.names(problem)
        shaken = drawn_layers(problem, last, parameters.num_layers)
        start = rebuilding.noisy(
            problem, fresh.reset(problem, problem.params, last), shaken, parameters.noise, "noise"
        )
        num_steps = parameters.num_steps(problem)
        params = rebuilding.rebuild(
            problem,
            start,
            problem.retain,
            losses.of_one_set,
            parameters.course(num_steps),
            batch_size=parameters.batch_size,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters=parameters.record(problem, num_steps),
            diagnostics={"num_shaken_tensors": len(shaken)},
        )


METHOD = CompetitionNoise()


def drawn_layers(problem: ForgetProblem, last: tuple[str, ...], num_layers: int) -> tuple[str, ...]:
    """Return the parameters of some layers drawn at random, the last one never among them.

    Args:
        problem: gives the layers and the seed.
        last: parameters of the last layer.
        num_layers: to draw, at most.
    """
    others = [layer for layer in layers(problem.build()) if not {*layer.parameters} & {*last}]
    order = torch.randperm(len(others), generator=seeding.generator(problem.seed, "layers")).tolist()
    return tuple(name for at in sorted(order[:num_layers]) for name in others[at].parameters)
