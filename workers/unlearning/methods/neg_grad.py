"""NegGrad: gradient ascent on the forget set alone, up to the loss of a guess.

Golatkar, Achille, Soatto, "Eternal sunshine of the spotless net" (CVPR 2020), section 5, as a baseline: steps
along the gradient of the forget set's cross entropy rather than against it. The loss has no upper bound and
the ascent no end; published runs stop after a few epochs at a learning rate found against retrained models.
Here each sample is let go at a ceiling, the loss of a guess (see `ascent`): it then has no gradient, and
without momentum nothing moves any more. Nothing protects what remains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import ascent, courses, descent
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network


@dataclass(frozen=True)
class NegGradParameters(CourseParameters):
    """How far the forget set's loss is driven up.

    Attributes:
        learning_rate: of every step.
        ceiling: the loss, in nats, at which a sample is let go.
    """

    learning_rate: float = parameter(0.005, "Learning rate of every step.", minimum=1e-9, maximum=10.0)
    ceiling: float | None = parameter(
        None,
        "Loss at which a sample is let go, in nats; null: that of a guess, as a rule.",
        minimum=0.0,
        maximum=1e6,
    )


class NegGrad:
    """The method as the registry finds it."""

    name = "neg_grad"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET})
    experimental = (
        "A comparison only: nothing protects what remains, and forgotten samples end unlike samples that the "
        "model never saw."
    )
    summary = "Gradient ascent on the forget set, until the model only guesses; reads no retained data."
    caveats = (
        "Damages what the forget set shares with retained data.",
        "Forgotten samples end with the loss of a guess, which gives them away among unseen ones.",
    )
    Parameters: type[NegGradParameters] = NegGradParameters

    def forget(self, problem: ForgetProblem, parameters: NegGradParameters) -> UnlearnResult:
        """Climb.

        Raises:
            MissingNeedError: there is no training sample to forget.
            DivergedError: the ascent leaves finite numbers.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET)
        ceiling = ascent.ceiling_of(problem) if parameters.ceiling is None else parameters.ceiling
        num_steps = parameters.num_steps(problem, [problem.forget])
        course = replace(parameters.course(num_steps), momentum=0.0, is_cosine=False)

        def surplus(network: Network, batches: Sequence[Batch]) -> Tensor:
            return -ascent.bounded_surplus(network, batches[0], ceiling)

        params = descent.descend(
            problem.build(),
            problem.params,
            [courses.stream(problem, problem.forget, "forget")],
            surplus,
            course,
            progress=problem.progress,
        )
        record = parameters.to_json(problem, **course.to_json())
        return UnlearnResult(params=params, parameters={**record, "ceiling": ceiling})


METHOD = NegGrad()
