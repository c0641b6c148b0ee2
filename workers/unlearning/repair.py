"""A short training on retained data, that wins back what a method broke of them.

Forgetting by hand, weight by weight, hits weights that the remaining classes need too. Where retained data
may be read, a few steps of plain descent on them restore these classes; what was forgotten stays so only if
it was really lost, so whoever repairs must look at the forget set again.

The network stays in evaluation mode: batch norm keeps its statistics and dropout is off, so that the outcome
depends on nothing but the weights, the samples and the seed, and other buffers stay as they are.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names
from workers.unlearning.base import Json, Progress, no_progress
from workers.unlearning.errors import DivergedError

BATCH_SIZE = 64
MOMENTUM = 0.9


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
    the mean cross entropy. Computed in float32 if the weights are in half precision.

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
    device = calling.device_of(params)
    network = copies.private(model, params)
    weights: Params = {name: network.get_parameter(name) for name in trainable_names(network)}
    optimizer = torch.optim.SGD(weights.values(), lr=course.learning_rate, momentum=MOMENTUM)
    num_steps = course.num_steps
    for step, (images, labels) in enumerate(itertools.islice(_batches(samples, seed), num_steps)):
        for group in optimizer.param_groups:
            group["lr"] = course.learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2
        with torch.enable_grad():
            logits = calling.check_logits(network(calling.like(images, weights)), len(images))
            loss = nn.functional.cross_entropy(logits, labels.to(device))
        if not math.isfinite(value := float(loss.detach())):
            raise DivergedError(
                f"expected a repair that converges, its loss is {value} at step {step + 1} of {num_steps}: "
                "state a smaller repair_rate, or dampen less"
            )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        progress((step + 1) / num_steps)

    repaired = {name: value.detach().to(params[name].dtype) for name, value in weights.items()}
    broken = [name for name, value in repaired.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise DivergedError(f"the repair made {broken[0]} non-finite: state a smaller repair_rate")
    return {**params, **repaired}


def _batches(samples: SampleSet, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end, in another order each time through."""
    for epoch in itertools.count():
        yield from samples.batches(BATCH_SIZE, seeding.generator(seed, "repair", epoch))
