"""Held-out samples in memory, on which a method tries its strengths before it commits to one.

Forgetting costs milliseconds and reading images costs more, so the samples are read once and every
candidate is run on them. They were held out from training; test data never comes here.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workers.numerics import calling, metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params

BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class Panel:
    """A few samples that candidates are tried on.

    Attributes:
        images: [n, C, H, W], on the CPU.
        labels: [n].
    """

    images: Tensor
    labels: Tensor

    @classmethod
    def read(cls, samples: SampleSet, classes: Collection[int], limit: int, seed: int) -> "Panel":
        """Read at most `limit` of the samples that belong to `classes`, drawn by `seed`.

        Raises:
            DatasetRowError: a row cannot be read.
        """
        indices = np.flatnonzero(np.isin(samples.labels.numpy(), [*classes]))
        if len(indices) > limit:
            drawn = torch.randperm(len(indices), generator=seeding.generator(seed, "panel"))[:limit]
            indices = np.sort(indices[drawn.numpy()])
        read = [*samples.take(indices).batches(BATCH_SIZE)]
        if not read:
            return cls(torch.empty(0), torch.empty(0, dtype=torch.int64))
        images, labels = zip(*read, strict=True)
        return cls(torch.cat(images), torch.cat(labels))

    def __len__(self) -> int:
        return len(self.labels)

    def thinned(self, limit: int) -> "Panel":
        """Return at most `limit` of the samples, evenly spread."""
        step = -(-len(self) // limit)
        return self if step <= 1 else Panel(self.images[::step], self.labels[::step])

    def ask(self, model: nn.Module, params: Params) -> "Answers":
        """Run one candidate on every sample."""
        with calling.evaluating(model), torch.no_grad():
            logits = [
                calling.logits(model, params, images).cpu().double()
                for images in torch.split(self.images, BATCH_SIZE)
            ]
        return Answers(torch.cat(logits), self.labels)


@dataclass(frozen=True, eq=False)
class Answers:
    """What one candidate says about a panel.

    Attributes:
        logits: float64 [n, num_classes].
        labels: [n].
    """

    logits: Tensor
    labels: Tensor

    @property
    def is_finite(self) -> bool:
        """Whether the candidate can be judged at all."""
        return bool(torch.isfinite(self.logits).all())

    @property
    def accuracy(self) -> float:
        """Share of samples that are recognised."""
        return metrics.accuracy(self.logits, self.labels)

    @property
    def mean_probability(self) -> float:
        """Mean probability of the true class."""
        return float(self.logits.softmax(1).gather(1, self.labels[:, None]).mean())

    def movement_from(self, before: "Answers") -> float:
        """Return the root mean square of the change of these samples' logits, relative to their size before.

        Infinite where logits that were all zero moved.
        """
        moved = float((self.logits - before.logits).square().mean().sqrt())
        size = float(before.logits.square().mean().sqrt())
        return moved / size if size > 0 else (math.inf if moved > 0 else 0.0)

    def confidence_above(self, reference: "Answers") -> float:
        """Return how much more confident these samples are than samples of their own class in the reference.

        In log odds, which weigh a sure sample's surplus as much as an unsure one's; a mean loss would be
        that of one outlier. A class that the reference lacks is compared with all of it.
        """
        return float(self.surpluses(reference).mean())

    def surpluses(self, reference: "Answers") -> Tensor:
        """Return what `confidence_above` is the mean of, [n]."""
        theirs = metrics.confidence(reference.logits, reference.labels)
        known = torch.unique(reference.labels).tolist()
        mean_of = {label: theirs[reference.labels == label].mean() for label in known}
        expected = torch.stack([mean_of.get(label, theirs.mean()) for label in self.labels.tolist()])
        return metrics.confidence(self.logits, self.labels) - expected
