"""LwSF: goes on learning while rehearsing only the codes of the classes to keep.

Shibata, Irie, Ikami, Mitsuzumi, "Learning with selective forgetting" (IJCAI 2021). A model that learns a new
task forgets old ones by itself; mnemonic codes decide which. Its loss has four terms: the classification of
the new task's samples; the same of these samples under the watermark of their class's code,

    share x + (1 - share) code

the classification of the old classes' codes, of those to be kept alone; and a regularisation towards the
old model, here that of learning without forgetting: the divergence from its answers, among the classes to
be kept. The classes to be forgotten occur in no term. All weights of the terms are one.

What differs. A request to forget brings no new task: retained samples take its place, so there is little
that drives the class out. The paper trains every sample under its class's watermark; the codes here were
mixed into the training as samples of their own (see `codes`), so that they stand for the class less than
the paper's do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics import calling
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network
from workers.unlearning.training.teachers import teacher


@dataclass(frozen=True)
class LwsfParameters(CourseParameters):
    """The watermark, beside budget and learning rate.

    Attributes:
        image_share: of the sample in a watermarked image; the code has the rest.
    """

    image_share: float = parameter(
        0.5, "Share of the sample in a watermarked image.", minimum=0.0, maximum=1.0
    )


class Lwsf:
    """The method as the registry finds it."""

    name = "lwsf"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset({Need.CODES, Need.RETAIN_SET})
    experimental = (
        "The method forgets while a new task is learned, and a request to forget brings none: on retained "
        "data alone it forgets next to nothing."
    )
    summary = "Goes on training with the mnemonic codes of the classes to keep; the others should fade."
    caveats = (
        "Class requests only, of models trained with mnemonic codes.",
        "Not the published training: codes were mixed in, not watermarked on every sample.",
    )
    Parameters: type[LwsfParameters] = LwsfParameters

    def forget(self, problem: ForgetProblem, parameters: LwsfParameters) -> UnlearnResult:
        """Train on retained samples and kept codes.

        Raises:
            MissingNeedError: the model has no codes, or nothing remains.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.CODES, Need.RETAIN_SET)
        assert problem.codes is not None
        model = problem.build()
        before = teacher(model, problem.params)
        kept = torch.tensor(problem.remaining_classes)
        # Each step passes its batch as it is and watermarked, and the codes.
        num_steps = parameters.num_steps(
            problem, [problem.retain, problem.retain], asked=[problem.retain], extra=len(kept)
        )
        course = parameters.course(num_steps)
        codes = problem.codes
        share = parameters.image_share

        def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
            (batch,) = batches
            own_codes = calling.like(codes[batch.labels.to(codes.device)], {"": batch.images})
            marked = share * batch.images + (1 - share) * own_codes
            kept_codes = calling.like(codes[kept.to(codes.device)], {"": batch.images})
            there = kept.to(batch.images.device)
            logits = network(batch.images)
            return (
                functional.cross_entropy(logits, batch.labels)
                + functional.cross_entropy(network(marked), batch.labels)
                + functional.cross_entropy(network(kept_codes), there)
                + losses.divergence(lambda _: logits[:, there], batch, before(batch.images)[:, there])
            )

        params = descent.descend(
            model,
            problem.params,
            [courses.stream(problem, problem.retain, "retain")],
            loss,
            course,
            progress=problem.progress,
        )
        return UnlearnResult(params=params, parameters=parameters.to_json(problem, **course.to_json()))


METHOD = Lwsf()
