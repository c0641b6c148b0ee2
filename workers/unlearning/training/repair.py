"""A short training on retained data, that wins back what a method broke of them.

Forgetting by hand, weight by weight, hits weights that the remaining classes need too. Where retained data
may be read, a few steps of plain descent on them restore these classes; what was forgotten stays so only if
it was really lost, so whoever repairs must look at the forget set again.
"""

from dataclasses import dataclass

from torch import nn

from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.unlearning.base import Json, Progress, no_progress
from workers.unlearning.training import descent, losses

BATCH_SIZE = 64


@dataclass(frozen=True)
class Course:
    """How to repair.

    Attributes:
        num_steps: of 64 samples; the data are gone through again if there are fewer.
        learning_rate: at the first step; falls along a half cosine to zero.
    """

    num_steps: int = 150
    learning_rate: float = 0.01

    def to_json(self) -> dict[str, Json]:
        """Return what identifies the course."""
        return {"num_steps": self.num_steps, "learning_rate": self.learning_rate}


def repair(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    course: Course,
    *,
    seed: int,
    progress: Progress = no_progress,
) -> Params:
    """Return the weights after some steps of descent on retained samples.

    Source of the idea: the repair step of the amnesiac methods; the rest is plain SGD with momentum 0.9 on
    the mean cross entropy.

    Args:
        model: gives the structure and says what is trainable; not changed.
        params: to start from, a full state; not changed.
        samples: retained training samples; at least one.
        course: how far to go.
        seed: of the samples' order.
        progress: told the fraction done, in [0, 1]; may raise to cancel.

    Returns:
        New weights, with the names, dtypes and device of `params`; buffers are the same tensors.

    Raises:
        DivergedError: the loss or a weight is not finite.
        DatasetRowError: a row cannot be read.
    """
    return descent.descend(
        model,
        params,
        [descent.stream(samples, BATCH_SIZE, params, seed, "repair")],
        losses.of_one_set,
        descent.Course(course.num_steps, course.learning_rate),
        progress=progress,
    )
