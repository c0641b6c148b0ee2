"""CF-k: fine-tune the last k layers on retained data, with all before them frozen.

Goel et al., "Towards adversarial evaluations for inexact machine unlearning" (2022), section 4, catastrophic
forgetting of the last k layers. What the frozen layers learned of the forget set stays, and the last ones are
only trained on; k here counts layers that own weights (see `layers`), BatchNorm's among them.
"""

from dataclasses import dataclass

from workers.numerics import layers
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters


@dataclass(frozen=True)
class CfKParameters(CourseParameters):
    """Which layers move.

    Attributes:
        num_layers: k; a network with fewer is trained whole.
    """

    num_layers: int | None = parameter(
        None, "k, counted from the output; null: a third of the layers.", minimum=1, maximum=100_000
    )


class CfK:
    """The method as the registry finds it."""

    name = "cf_k"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = "A comparison only: training a few layers on retained data does not make a model forget."
    summary = "Fine-tunes the last layers on retained data."
    caveats = ("Forgets less than fine-tuning the whole network, which forgets next to nothing.",)
    Parameters: type[CfKParameters] = CfKParameters

    def forget(self, problem: ForgetProblem, parameters: CfKParameters) -> UnlearnResult:
        """Train the last layers.

        Raises:
            MissingNeedError: nothing remains.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        model = problem.build()
        last = layers.last(model, parameters.num_layers)
        course = parameters.course(parameters.num_steps(problem, [problem.retain]))
        params = descent.descend(
            model,
            problem.params,
            [courses.stream(problem, problem.retain, "retain")],
            losses.of_one_set,
            course,
            mask=descent.whole(problem.params, [name for layer in last for name in layer.parameters]),
            progress=problem.progress,
        )
        record = parameters.to_json(problem, **course.to_json())
        return UnlearnResult(params=params, parameters={**record, "num_layers": len(last)})


METHOD = CfK()
