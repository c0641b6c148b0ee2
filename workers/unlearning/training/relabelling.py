"""Gives samples that must go another label, drawn anew each time they come.

A network that is taught such labels loses what it knew of these samples. A wrong label is drawn evenly among
the classes that the model must still know, without the sample's own: a class that was forgotten must not be
taught again. Where no such class is left, it is drawn among all others.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from workers.numerics import seeding
from workers.unlearning.base import ForgetProblem
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.training.descent import Batch


def relabelled(problem: ForgetProblem, batches: Iterator[Batch], name: str) -> Iterator[Batch]:
    """Yield the batches with a wrong label for each sample of the forget set; other samples keep theirs.

    Args:
        problem: gives the forget set, the classes and the seed.
        batches: without end.
        name: of the stream; streams of other names draw other labels.

    Raises:
        IneffectiveError: the network has one output, so no label is wrong.
    """
    weights = _weights(problem)
    forget = torch.tensor(problem.forget.positions)
    generator = seeding.generator(problem.seed, "wrong labels", name)
    for batch in batches:
        labels = batch.labels.cpu()
        drawn = torch.multinomial(weights[labels], 1, generator=generator)[:, 0]
        labels = torch.where(torch.isin(batch.positions, forget), drawn, labels)
        yield Batch(batch.images, labels.to(batch.labels), batch.positions)


def _weights(problem: ForgetProblem) -> Tensor:
    """Return how likely each label is drawn for each own one, up to a factor; float32 [own, drawn]."""
    if problem.num_classes < 2:
        raise IneffectiveError(
            f"expected a network of two outputs or more, got {problem.num_classes}: it has no wrong label to "
            "learn, choose another method"
        )
    is_other = ~torch.eye(problem.num_classes, dtype=torch.bool)
    is_remaining = torch.zeros(problem.num_classes, dtype=torch.bool)
    is_remaining[[*problem.remaining_classes]] = True
    preferred = is_other & is_remaining
    return torch.where(preferred.any(1, keepdim=True), preferred, is_other).float()
