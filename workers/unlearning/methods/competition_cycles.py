"""Eighth entry of the NeurIPS 2023 unlearning competition (Forget): lose a tenth, remember, three times over.

As the slides of `rebuilding` describe it:

1. *Forgetting*: weights drawn at random are reset. The classifier and projection shortcuts are not touched.
2. *Remembering*: descent on the mean of |f_o(x') - f(x')|^2 between the logits of the original and of the
   network, for retained samples x with normal noise of 0.1 added, x'.
3. Both again, three times in all, with one, two and two epochs of remembering and a tenth reset each time.

Our choices. Single weights are drawn, a tenth of every tensor of two axes and more; the slides give a ratio
and no unit. A projection shortcut is a convolution with kernels of one pixel, so that bottlenecks are spared
too. The noise is added in the network's input scale. |.|^2 is the mean over classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics import seeding
from workers.unlearning import head
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, fresh, rebuilding
from workers.unlearning.training.courses import stage
from workers.unlearning.training.descent import Batch, Loss, Network
from workers.unlearning.training.rebuilding import RebuildingParameters
from workers.unlearning.training.teachers import teacher

EPOCHS = (1, 2, 2)  # of the first cycles; further ones have as many as the last


@dataclass(frozen=True)
class CyclesParameters(RebuildingParameters):
    """Settings of the cycles beside those of the rebuilding.

    Attributes:
        num_cycles: of forgetting and remembering, at most one a step.
        reset_share: of the eligible weights, in each cycle.
        noise: added to the images.
    """

    num_cycles: int = parameter(3, "Times of forgetting and remembering.", minimum=1, maximum=100)
    reset_share: float = parameter(
        0.1, "Share of the weights reset in each cycle, drawn at random.", minimum=0.0, maximum=1.0
    )
    noise: float = parameter(
        0.1,
        "Standard deviation of the noise on images, in the network's input scale.",
        minimum=0.0,
        maximum=100.0,
    )


class CompetitionCycles:
    """The method as the registry finds it."""

    name = "competition_cycles"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Eighth of the NeurIPS 2023 competition (Forget): resets weights at random and learns the original's "
        "logits on noisy retained images, in cycles."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "The original is its teacher: what that knows of a forgotten class, its outputs tell.",
    )
    Parameters: type[CyclesParameters] = CyclesParameters

    def forget(self, problem: ForgetProblem, parameters: CyclesParameters) -> UnlearnResult:
        """Reset and remember by turns.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        eligible = pool(problem)
        num_steps = parameters.num_steps(problem, passes=1 + budget.FORWARD_SHARE)
        steps = shared_out(num_steps, parameters.num_cycles)
        params, done = problem.params, 0
        for cycle, here in enumerate(steps):
            masks = drawn_weights(problem, eligible, parameters.reset_share, cycle)
            params = rebuilding.rebuild(
                problem,
                fresh.reset_where(problem, params, masks),
                problem.retain,
                remembering(problem, parameters.noise, cycle),
                parameters.course(here),
                batch_size=parameters.batch_size,
                name=f"cycle/{cycle}",
                progress=stage(problem.progress, done / num_steps, (done + here) / num_steps),
            )
            done += here
        problem.progress(1.0)
        return UnlearnResult(
            params=params,
            parameters=parameters.record(problem, num_steps, num_cycles_run=len(steps)),
        )


METHOD = CompetitionCycles()


def pool(problem: ForgetProblem) -> tuple[str, ...]:
    """Return the tensors whose weights may be drawn; all matrices where nothing else is left."""
    model, last = problem.build(), head.names(problem)
    found = rebuilding.matrices(model)
    return (
        tuple(
            name
            for name in found
            if name not in last
            and not (len(shape := problem.params[name].shape) > 2 and shape[2:].numel() == 1)
        )
        or found
    )


def shared_out(num_steps: int, num_cycles: int) -> list[int]:
    """Return the steps of each cycle, by the entry's epochs; cycles that would have none are left out."""
    epochs = [EPOCHS[min(cycle, len(EPOCHS) - 1)] for cycle in range(min(num_cycles, num_steps))]
    ends = [round(num_steps * sum(epochs[: cycle + 1]) / sum(epochs)) for cycle in range(len(epochs))]
    found = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return [steps for steps in found if steps > 0]


def drawn_weights(
    problem: ForgetProblem, names: Sequence[str], share: float, cycle: int
) -> dict[str, Tensor]:
    """Return masks of a share of each tensor's weights, drawn at random; the number is rounded down."""
    found = {}
    for name in names:
        like = problem.params[name]
        generator = seeding.generator(problem.seed, "cycles", cycle, name)
        mask = torch.zeros(like.numel(), dtype=torch.bool)
        mask[torch.randperm(like.numel(), generator=generator)[: int(share * like.numel())]] = True
        found[name] = mask.reshape(like.shape).to(like.device)
    return found


def remembering(problem: ForgetProblem, noise: float, cycle: int) -> Loss:
    """Return the mean squared difference of logits from the original's, on images with noise."""
    original = teacher(problem.build(), problem.params)
    generator = seeding.generator(problem.seed, "image noise", cycle)

    def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
        (batch,) = batches
        drawn = torch.randn(batch.images.shape, generator=generator).to(batch.images)
        images = batch.images + noise * drawn
        return functional.mse_loss(network(images), original(images))

    return loss
