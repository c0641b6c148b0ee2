"""NegGrad+: descent on retained data and ascent on the forget set, in one loss.

Kurmanji, Triantafillou, Hayes, Triantafillou, "Towards unbounded machine unlearning" (NeurIPS 2023), section
4, the improved NegGrad that it compares with:

    beta mean_retain CE - (1 - beta) mean_forget CE

Each step takes a batch of both sets. The papers tune beta and the learning rate against retrained models.
Here beta is fixed, and a forgotten sample no longer counts at a ceiling, the loss of a guess (see
`ascent`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import ascent, courses, descent, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network


@dataclass(frozen=True)
class NegGradPlusParameters(CourseParameters):
    """The balance of the two sets.

    Attributes:
        retain_weight: the paper's beta.
        ceiling: the loss of a forgotten sample, in nats, at which it is let go.
    """

    retain_weight: float = parameter(
        0.95,
        "beta: share of retained data in the loss; the rest drives the forget set out.",
        minimum=0.0,
        maximum=1.0,
    )
    ceiling: float | None = parameter(
        None,
        "Loss at which a sample is let go, in nats; null: that of a guess, as a rule.",
        minimum=0.0,
        maximum=1e6,
    )


class NegGradPlus:
    """The method as the registry finds it."""

    name = "neg_grad_plus"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = None
    summary = "Descends on retained data and ascends on the forget set at once, for a tenth of a training."
    caveats = (
        "The balance of the two is fixed, not searched: it may forget too little or too much.",
        "Forgotten samples end at the loss of a guess, which is not what a retrained model says of them.",
        "A few ordinary samples among many it hardly moves within its budget.",
    )
    Parameters: type[NegGradPlusParameters] = NegGradPlusParameters

    def forget(self, problem: ForgetProblem, parameters: NegGradPlusParameters) -> UnlearnResult:
        """Descend and ascend.

        Raises:
            MissingNeedError: one of the sets is empty.
            DivergedError: the loss leaves finite numbers.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        sets = [problem.retain, problem.forget]
        course = parameters.course(parameters.num_steps(problem, sets))
        weight = parameters.retain_weight
        ceiling = ascent.ceiling_of(problem) if parameters.ceiling is None else parameters.ceiling

        def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
            retained = losses.cross_entropy(network, batches[0])
            forgotten = ascent.bounded_surplus(network, batches[1], ceiling)
            return weight * retained - (1 - weight) * forgotten

        params = descent.descend(
            problem.build(),
            problem.params,
            [
                courses.stream(problem, problem.retain, "retain"),
                courses.stream(problem, problem.forget, "forget"),
            ],
            loss,
            course,
            progress=problem.progress,
        )
        record = parameters.to_json(problem, **course.to_json())
        return UnlearnResult(params=params, parameters={**record, "ceiling": ceiling})


METHOD = NegGradPlus()
