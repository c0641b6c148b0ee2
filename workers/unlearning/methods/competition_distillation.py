"""Sixth entry of the NeurIPS 2023 unlearning competition (Algorithmic Amnesiacs): reset both ends, distil.

As the slides of `rebuilding` describe it:

1. The first and the last layer are reset: the one shapes all that follows, the other the outputs, and between
   a model of all data and one of the retained these two were least alike.
2. *Warm-up*: KL divergence between the original's outputs and the network's on held-out data.
3. *Fine-tuning* on retained data with the sum of three losses: the cross entropy with the labels, the cross
   entropy with the original's outputs, and the KL divergence from these.

Our choices. The tuning set is the held-out data, without classes that are gone; retained data take its place
where there is none. A quarter of the steps are warm-up. At one temperature the last two losses of point 3
have one gradient; the divergence is taken at a temperature of 2, unrescaled. Labels are those of retained
samples, but the original teaches all classes: what it thinks of a forgotten class is in its outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional

from workers.numerics.batches import SampleSet
from workers.numerics.layers import layers
from workers.unlearning import head
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, fresh, losses, rebuilding
from workers.unlearning.training.courses import stage
from workers.unlearning.training.descent import Batch, Network
from workers.unlearning.training.rebuilding import RebuildingParameters
from workers.unlearning.training.teachers import teacher


@dataclass(frozen=True)
class DistillationParameters(RebuildingParameters):
    """Settings of the distillation beside those of the rebuilding.

    Attributes:
        warmup_share: of the steps.
        temperature: of the divergence.
    """

    warmup_share: float = parameter(
        0.25, "Share of the steps spent on held-out data.", minimum=0.0, maximum=0.9
    )
    temperature: float = parameter(2.0, "Temperature of the divergence.", minimum=1e-3, maximum=1e3)


class CompetitionDistillation:
    """The method as the registry finds it."""

    name = "competition_distillation"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Sixth of the NeurIPS 2023 competition (Algorithmic Amnesiacs): resets the first and the last layer, "
        "and learns from the original's outputs on held-out and retained data."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "The original is its teacher: what that knows of a forgotten class, its outputs tell.",
        "Trains on held-out data, which then no longer show how well it generalises.",
    )
    Parameters: type[DistillationParameters] = DistillationParameters

    def forget(self, problem: ForgetProblem, parameters: DistillationParameters) -> UnlearnResult:
        """Reset both ends, warm up, fine-tune.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: a stage does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        ends = {*layers(problem.build())[0].parameters, *head.names(problem)}
        original = teacher(problem.build(), problem.params)
        num_steps = parameters.num_steps(problem, passes=1 + budget.FORWARD_SHARE)
        warming = int(parameters.warmup_share * num_steps)
        turn = warming / num_steps

        params = fresh.reset(problem, problem.params, ends)
        if warming:
            params = rebuilding.rebuild(
                problem,
                params,
                held_out(problem),
                lambda network, batches: losses.divergence(network, batches[0], original(batches[0].images)),
                parameters.course(warming),
                batch_size=parameters.batch_size,
                name="warm-up",
                progress=stage(problem.progress, 0, turn),
            )
        params = rebuilding.rebuild(
            problem,
            params,
            problem.retain,
            lambda network, batches: three_losses(network, batches, original, parameters.temperature),
            parameters.course(num_steps - warming),
            batch_size=parameters.batch_size,
            progress=stage(problem.progress, turn, 1.0),
        )
        problem.progress(1.0)
        return UnlearnResult(
            params=params, parameters=parameters.record(problem, num_steps, num_warmup_steps=warming)
        )


METHOD = CompetitionDistillation()


def held_out(problem: ForgetProblem) -> SampleSet:
    """Return the tuning samples of the classes that remain, or the retained samples if there are none."""
    is_kept = np.isin(problem.tuning.labels.numpy(), problem.remaining_classes)
    found = problem.tuning.take(is_kept.nonzero()[0])
    return found if len(found) else problem.retain


def three_losses(network: Network, batches: Sequence[Batch], original: Network, temperature: float) -> Tensor:
    """Return the mean cross entropy with labels, plus that with the original's outputs, plus the divergence.

    Args:
        network: that learns.
        batches: one, of retained samples.
        original: that teaches.
        temperature: of the divergence.
    """
    (batch,) = batches
    told, taught = network(batch.images), original(batch.images)
    return (
        functional.cross_entropy(told, batch.labels)
        + functional.cross_entropy(told, taught.softmax(dim=1))
        + losses.divergence(lambda _: told, batch, taught, temperature)
    )
