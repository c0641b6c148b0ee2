"""Fine-tuning on retained data: train on, without the forget set, and hope that it fades.

The simplest baseline of the unlearning literature, named catastrophic forgetting there: plain descent on the
retained samples' cross entropy, from the weights as they are. Nothing pushes the forget set out, so what a
short training leaves of it is nearly all. BatchNorm statistics stay, unlike in the papers' code.
"""

from dataclasses import dataclass

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters


@dataclass(frozen=True)
class FineTuneParameters(CourseParameters):
    """How long and how fast."""


class FineTune:
    """The method as the registry finds it."""

    name = "fine_tune"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = "A comparison only: training on retained data alone does not make a model forget."
    summary = "Trains shortly on retained data; the baseline that every other method should beat."
    caveats = ("Forgets next to nothing within its budget.",)
    Parameters: type[FineTuneParameters] = FineTuneParameters

    def forget(self, problem: ForgetProblem, parameters: FineTuneParameters) -> UnlearnResult:
        """Train on what remains.

        Raises:
            MissingNeedError: nothing remains.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        course = parameters.course(parameters.num_steps(problem, [problem.retain]))
        params = descent.descend(
            problem.build(),
            problem.params,
            [courses.stream(problem, problem.retain, "retain")],
            losses.of_one_set,
            course,
            progress=problem.progress,
        )
        return UnlearnResult(params=params, parameters=parameters.to_json(problem, **course.to_json()))


METHOD = FineTune()
