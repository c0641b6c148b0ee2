"""Random labels: train on everything, with the forget set relabelled at random.

Graves, Nagisetty, Ganesh, "Amnesiac machine learning" (AAAI 2021), section 4, the unlearning by relabelling
that later comparisons (bad teacher, selective synaptic dampening) run under the name "amnesiac": the data
with wrong labels for the forget set and true ones for the rest, all parameters, a few epochs. Labels are
drawn anew each time a sample comes (see `relabelling`). The other method of that paper, subtracting
recorded updates, is another one.
"""

from dataclasses import dataclass

import numpy as np

from workers.numerics.batches import SampleSet
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.relabelling import relabelled


@dataclass(frozen=True)
class RandomLabelParameters(CourseParameters):
    """How long and how fast."""


class RandomLabel:
    """The method as the registry finds it."""

    name = "random_label"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = (
        "Easy to see through: a model that never saw a sample does not hold it for something else, and a "
        "few samples among many it hardly moves."
    )
    summary = "Trains shortly on all data, the forget set under random wrong labels."
    caveats = (
        "Teaches wrong labels: forgotten samples may end doubted more than ones that the model never saw.",
        "A few samples among many come too seldom within the budget to be unlearned.",
    )
    Parameters: type[RandomLabelParameters] = RandomLabelParameters

    def forget(self, problem: ForgetProblem, parameters: RandomLabelParameters) -> UnlearnResult:
        """Train on retained samples and relabelled ones together.

        Raises:
            MissingNeedError: one of the sets is empty.
            IneffectiveError: there is no wrong label.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        positions = np.concatenate([problem.retain.positions, problem.forget.positions])
        everything = SampleSet(problem.retain.source, positions)
        course = parameters.course(parameters.num_steps(problem, [everything]))
        params = descent.descend(
            problem.build(),
            problem.params,
            [relabelled(problem, courses.stream(problem, everything, "everything"), "everything")],
            losses.of_one_set,
            course,
            progress=problem.progress,
        )
        return UnlearnResult(params=params, parameters=parameters.to_json(problem, **course.to_json()))


METHOD = RandomLabel()
