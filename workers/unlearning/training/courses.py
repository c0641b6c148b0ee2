"""What a request may say of a method that trains, and the course of descent that it stands for.

Such a method costs a share of the recorded training, its *budget*, and takes as many steps as that pays for,
in batches as large as the recorded training's. What a step costs is counted in `budget`: a sample that is
passed forward and backward counts one, one that a teacher is only asked about counts a third.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, cast

from workers.numerics.batches import SampleSet
from workers.unlearning.base import ForgetProblem, Json, Kind, Progress
from workers.unlearning.parameters import Rehearsed, parameter
from workers.unlearning.training import budget, descent
from workers.unlearning.training.descent import Batch, Course

MAX_GRADIENT_NORM = 1.0  # wrong labels and ascent have large gradients where the network was sure


@dataclass(frozen=True)
class CourseParameters:
    """The fields that every method that trains has; a method says its own learning rate.

    Attributes:
        budget: the most it may cost.
        learning_rate: at the first step.
    """

    REHEARSED: ClassVar[Rehearsed] = dict.fromkeys(Kind, ({"budget": 0.01}, {"budget": 0.03}, {}))

    budget: float = parameter(
        0.1, "Most it may cost, as a share of the recorded training.", minimum=1e-6, maximum=1.0
    )
    learning_rate: float = parameter(
        0.05, "First learning rate; falls along a half cosine to zero.", minimum=1e-9, maximum=10.0
    )

    def num_steps(
        self,
        problem: ForgetProblem,
        trained: Sequence[SampleSet],
        asked: Sequence[SampleSet] = (),
        *,
        extra: int = 0,
        share: float = 1.0,
        spent: float = 0.0,
    ) -> int:
        """Return how many steps the budget pays for, at least one.

        Args:
            problem: whose recipe says what training costs.
            trained: the sets of which each step passes a batch forward and backward.
            asked: the sets of which each step passes a batch forward only, once for each time named.
            extra: samples that each step passes forward and backward beside these.
            share: of the budget, for a method of several stages.
            spent: samples passed before, in the same count.
        """
        size = batch_size(problem)
        each = extra + sum(min(size, len(samples)) for samples in trained)
        each += round(budget.FORWARD_SHARE * sum(min(size, len(samples)) for samples in asked))
        return budget.num_steps(problem, share * self.budget, max(each, 1), spent=spent)

    def course(self, num_steps: int) -> Course:
        """Return a course of this many steps, whose gradients are held to `MAX_GRADIENT_NORM`."""
        return Course(num_steps, self.learning_rate, max_gradient_norm=MAX_GRADIENT_NORM)

    def to_json(self, problem: ForgetProblem, **found: Json) -> dict[str, Json]:
        """Return the record of a run: these parameters, what was found beside them, and the seed."""
        given = cast(dict[str, Json], asdict(self))
        return {**given, "batch_size": batch_size(problem), **found, "seed": problem.seed}


def batch_size(problem: ForgetProblem) -> int:
    """Return the samples of a batch: as many as the recorded training takes."""
    return int(problem.recipe.get("batch_size", budget.DEFAULT_BATCH_SIZE))


def stream(problem: ForgetProblem, samples: SampleSet, name: str) -> Iterator[Batch]:
    """Yield batches of these samples without end, as `descent.stream` does, in an order by the seed.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    return descent.stream(samples, batch_size(problem), problem.params, problem.seed, name)


def stage(progress: Progress, start: float, end: float) -> Progress:
    """Return a listener for one stage of several, that tells of it as a part of the whole."""
    return lambda fraction: progress(start + (end - start) * fraction)
