"""Digits of which one in twenty is mislabelled, and what is asked to be forgotten of them.

Three forget sets of eleven samples, one in a hundred of the training split. *Canaries* are mislabelled: a
model can only know them by heart. *Random* ones are ordinary. A *coherent* group is one digit and its nearest
neighbours of the same class. A *bystander* set, ordinary and disjoint from all three, is what another request
might name: it gives the models that were processed in the same way and never saw the forget set.

An attack may ask at the samples themselves or near them: *near* queries are copies with noise, and copies
moved by one pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.ssd_digits import digits
from benchmarks.stacks import NUM_CLASSES, Data, logits
from benchmarks.ulira import Scores
from workers.numerics import metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import SPLITS, DatasetSource, Manifest, ReaderSource
from workers.numerics.params import Params

MISLABELLED = 0.05
SIZE = 11
WIDTH = 8
NOISE = 0.1
NUM_NOISY = 3
MOVES = ((1, 1), (-1, 1), (1, 2), (-1, 2))  # (pixels, axis of [n, height, width])

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setup:
    """One draw of labels and forget sets.

    Attributes:
        draw: seed of both.
        source: the digits with the labels as they are trained on.
        mislabelled: rows of the training split, not of the manifest.
    """

    draw: int
    source: DatasetSource
    mislabelled: Rows

    @classmethod
    def of(cls, draw: int) -> "Setup":
        """Draw the labels."""
        source = digits()
        train = source.manifest.positions("train")
        random = seeding.generator(draw, "mislabelled")
        rows = torch.randperm(len(train), generator=random)[: round(MISLABELLED * len(train))].numpy()
        added = torch.randint(1, NUM_CLASSES, (len(rows),), generator=random).numpy()
        labels = source.manifest.labels.copy()
        labels[train[rows]] = (labels[train[rows]] + added) % NUM_CLASSES
        splits = np.empty(len(labels), dtype=np.uint8)
        for code, split in enumerate(SPLITS):
            splits[source.manifest.positions(split)] = code
        return cls(
            draw,
            ReaderSource("digits", Manifest.of(labels, splits), source.input_shape, source.images),
            rows,
        )

    @cached_property
    def train(self) -> Data:
        """The training split; its order is that of all rows here."""
        return self._data("train")

    @cached_property
    def test(self) -> Data:
        """The test split, for measuring alone."""
        return self._data("test")

    @property
    def tuning(self) -> SampleSet:
        """The half of the holdout that strengths are chosen on."""
        return SampleSet(self.source, self.source.manifest.positions("holdout")[::2])

    @cached_property
    def forget_sets(self) -> Mapping[str, Rows]:
        """Name -> rows of the training split, rising."""
        random, bystanders = self._ordinary[:SIZE], self._ordinary[SIZE : 2 * SIZE]
        first = self._ordinary[2 * SIZE]
        taken = np.concatenate([self.mislabelled, random, bystanders])
        own = np.setdiff1d(np.flatnonzero(self.train.labels == self.train.labels[first]), taken)
        distances = (self.train.images[own] - self.train.images[first]).square().sum(1).numpy()
        return {
            "canaries": np.sort(self.mislabelled[:SIZE]),
            "random": np.sort(random),
            "coherent": np.sort(own[np.argsort(distances, kind="stable")[:SIZE]]),
        }

    @property
    def bystanders(self) -> Rows:
        """Rows that another request names."""
        return np.sort(self._ordinary[SIZE : 2 * SIZE])

    def samples(self, rows: Rows) -> SampleSet:
        """Return rows of the training split as a method reads them."""
        return SampleSet(self.source, self.source.manifest.positions("train")[rows])

    @cached_property
    def _ordinary(self) -> Rows:
        """The rows with true labels, shuffled."""
        others = np.setdiff1d(np.arange(len(self.train.labels)), self.mislabelled)
        order = torch.randperm(len(others), generator=seeding.generator(self.draw, "ordinary"))
        shuffled: Rows = others[order.numpy()]
        return shuffled

    def _data(self, split: str) -> Data:
        positions = self.source.manifest.positions(split)
        labels = torch.from_numpy(self.source.manifest.labels[positions])
        return Data(self.source.images(positions).flatten(1), labels)


def accuracies(stack: Params, data: Data) -> Scores:
    """Return each member's accuracy, [models]."""
    right = (logits(stack, data.images).argmax(2) == data.labels).double().mean(1)
    return np.asarray(right.numpy())


def confidences(stack: Params, data: Data) -> Scores:
    """Return the log odds of the label, [models, n]."""
    answers = logits(stack, data.images).double()
    repeated = data.labels.repeat(len(answers))
    return np.asarray(metrics.confidence(answers.flatten(0, 1), repeated).reshape(len(answers), -1).numpy())


def gaps(stack: Params, data: Data) -> Scores:
    """Return log(1 + the gap between the two likeliest other classes), [models, n]: the label has no part."""
    answers = logits(stack, data.images).double()
    label = data.labels[None, :, None].expand(len(answers), -1, 1)
    best = answers.scatter(2, label, -torch.inf).topk(2, dim=2).values
    return np.asarray((best[..., 0] - best[..., 1]).log1p().numpy())


def near_confidences(stack: Params, data: Data) -> Scores:
    """Return the mean log odds of the label over the near queries, [models, n]."""
    asked = [confidences(stack, Data(images, data.labels)) for images in _near(data.images)]
    return np.asarray(np.mean(asked, axis=0))


def _near(images: Tensor) -> list[Tensor]:
    """Return altered copies of images [n, 64]."""
    random = seeding.generator(0, "near")
    noisy = [images + NOISE * torch.randn(images.shape, generator=random) for _ in range(NUM_NOISY)]
    square = images.reshape(-1, WIDTH, WIDTH)
    return noisy + [torch.roll(square, by, axis).flatten(1) for by, axis in MOVES]
