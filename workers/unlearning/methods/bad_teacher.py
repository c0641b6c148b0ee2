"""Bad teacher: the model learns what a network that knows nothing says of the forget set.

Chundawat et al., "Can bad teaching induce forgetting? Unlearning in deep networks using an incompetent
teacher" (AAAI 2023), equation 1, with the temperature 1:

    l_u KL(T_d(x) || S(x)) + (1 - l_u) KL(T_s(x) || S(x))

for a sample x, with l_u = 1 in the forget set and 0 elsewhere; the student S and the competent teacher T_s
start as the model, the incompetent teacher T_d is newly drawn. A step's batch is drawn from the forget set
and a random part of the retained data together. The divergence is summed over classes, as printed; the
authors' code takes the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, fresh, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network
from workers.unlearning.training.teachers import teacher


@dataclass(frozen=True)
class BadTeacherParameters(CourseParameters):
    """How much retained data is taught.

    Attributes:
        retain_share: of the retained data that the competent teacher speaks of.
    """

    retain_share: float = parameter(
        0.3, "Share of the retained data that is read.", minimum=1e-9, maximum=1.0
    )


class BadTeacher:
    """The method as the registry finds it."""

    name = "bad_teacher"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = (
        "Easy to see through: forgotten samples get nearly even answers, which no model that never saw them "
        "would give."
    )
    summary = "Teaches the model to answer like an untrained network on the forget set."
    caveats = (
        "Forgotten samples stand out by answers that are nearly even: that they were forgotten shows.",
    )
    Parameters: type[BadTeacherParameters] = BadTeacherParameters

    def forget(self, problem: ForgetProblem, parameters: BadTeacherParameters) -> UnlearnResult:
        """Teach both sets.

        Raises:
            MissingNeedError: one of the sets is empty.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        model = problem.build()
        competent, incompetent = teacher(model, problem.params), teacher(model, fresh.initial(problem))
        taught = _taught(problem, parameters.retain_share)
        num_steps = parameters.num_steps(problem, [taught], asked=[taught, taught])
        course = parameters.course(num_steps)
        forget = torch.tensor(problem.forget.positions)

        def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
            (batch,) = batches
            must_go = torch.isin(batch.positions, forget).to(batch.images.device)
            told = torch.where(must_go[:, None], incompetent(batch.images), competent(batch.images))
            return losses.divergence(network, batch, told)

        params = descent.descend(
            model,
            problem.params,
            [courses.stream(problem, taught, "taught")],
            loss,
            course,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters=parameters.to_json(problem, **course.to_json()),
            diagnostics={"num_taught": len(taught)},
        )


METHOD = BadTeacher()


def _taught(problem: ForgetProblem, share: float) -> SampleSet:
    """Return the forget set and a random share of the retained samples, at least one."""
    num_retained = max(1, round(share * len(problem.retain)))
    order = torch.randperm(len(problem.retain), generator=seeding.generator(problem.seed, "taught"))
    kept = problem.retain.take(order[:num_retained].numpy())
    return SampleSet(problem.retain.source, np.concatenate([kept.positions, problem.forget.positions]))
