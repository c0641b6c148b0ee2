"""EU-k: draw the last k layers anew and train them on retained data, with all before them frozen.

Goel et al., "Towards adversarial evaluations for inexact machine unlearning" (2022), section 4, exact
unlearning of the last k layers: those never saw the forget set, the frozen ones did. k counts layers that own
weights (see `layers`), BatchNorm's among them.

New layers make other activations, so BatchNorm gathers its statistics anew, in the frozen layers too: the
network is in training mode unless `adapts_statistics` is off. Departure: the course is a tenth of a training,
where the paper's is a whole one.
"""

from dataclasses import dataclass, replace

from workers.numerics import layers
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, fresh, losses
from workers.unlearning.training.courses import CourseParameters


@dataclass(frozen=True)
class EuKParameters(CourseParameters):
    """Which layers are drawn anew, and how they are trained.

    Attributes:
        learning_rate: larger than for fine-tuning: the layers start from nothing.
        num_layers: k; a network with fewer is trained from nothing.
        adapts_statistics: whether batch norm gathers its statistics on retained data.
    """

    learning_rate: float = parameter(
        0.1, "First learning rate; falls along a half cosine to zero.", minimum=1e-9, maximum=10.0
    )
    num_layers: int | None = parameter(
        None, "k, counted from the output; null: a third of the layers.", minimum=1, maximum=100_000
    )
    adapts_statistics: bool = parameter(
        True, "Whether BatchNorm gathers its statistics anew, and dropout is on."
    )


class EuK:
    """The method as the registry finds it."""

    name = "eu_k"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = (
        "The layers that stay have learned from the forget set, and attacks that look at single samples find "
        "it there."
    )
    summary = "Draws the last layers anew and trains them on retained data."
    caveats = (
        "What earlier layers learned of the forget set stays in them.",
        "Within its budget the new layers may stay less accurate than the old ones.",
    )
    Parameters: type[EuKParameters] = EuKParameters

    def forget(self, problem: ForgetProblem, parameters: EuKParameters) -> UnlearnResult:
        """Draw and train the last layers.

        Raises:
            MissingNeedError: nothing remains.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        model = problem.build()
        last = layers.last(model, parameters.num_layers)
        names = [name for layer in last for name in layer.parameters]
        course = replace(
            parameters.course(parameters.num_steps(problem, [problem.retain])),
            adapts_statistics=parameters.adapts_statistics,
        )
        params = descent.descend(
            model,
            fresh.reset(problem, problem.params, names),
            [courses.stream(problem, problem.retain, "retain")],
            losses.of_one_set,
            course,
            mask=descent.whole(problem.params, names),
            seed=problem.seed,
            progress=problem.progress,
        )
        record = parameters.to_json(problem, **course.to_json())
        return UnlearnResult(params=params, parameters={**record, "num_layers": len(last)})


METHOD = EuK()
