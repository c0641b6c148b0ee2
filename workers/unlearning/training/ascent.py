"""Ascent on the forget set, with an end: a sample whose loss has risen to a ceiling is let go.

The cross entropy has no upper bound, and an ascent that nobody stops takes the rest of the model with it.
Published runs stop after a number of epochs found against retrained models, which a service does not have.
The loss of a guess, ln(num_classes), needs none: who is no surer than that has nothing left to forget.
"""

import math

from torch import Tensor
from torch.nn import functional

from workers.numerics import metrics
from workers.unlearning.base import ForgetProblem
from workers.unlearning.training.descent import Batch, Network

MIN_RISE = 1.0  # nats; a set that the model never learned is beyond a guess before it is forgotten


def ceiling_of(problem: ForgetProblem) -> float:
    """Return the loss of a guess, or what is a nat above the forget set's largest, if that is more.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    found = metrics.cross_entropy(*metrics.logits_of(problem.build(), problem.params, problem.forget))
    return max(math.log(problem.num_classes), float(found.max()) + MIN_RISE)


def bounded_surplus(network: Network, batch: Batch, ceiling: float) -> Tensor:
    """Return the mean of min(-log p(label), ceiling); scalar. Samples there have no gradient."""
    each = functional.cross_entropy(network(batch.images), batch.labels, reduction="none")
    return each.clamp(max=ceiling).mean()
