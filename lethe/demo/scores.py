"""What the demo measures of a model: accuracy on what it keeps and forgot, and a membership attack."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lethe.demo import setting
from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.metrics import Interval
from workers.numerics.params import Params

ATTACK_SEED = 0


@dataclass(frozen=True)
class Scores:
    """One model's numbers.

    Attributes:
        retained: Accuracy on test images of the classes that are kept.
        forgotten: Accuracy on what was to be forgotten: test images of the class, or the very samples.
        attack: AUC of telling forgotten training samples from unseen ones of the same classes by their loss;
            0.5 is a coin.
        confidences: Logit-scaled confidence in the true class of the forgotten samples [n].
    """

    retained: float
    forgotten: float
    attack: Interval
    confidences: Tensor


@dataclass(frozen=True)
class Target:
    """What one request named, as manifest positions.

    Attributes:
        title: For people.
        forgotten: Training samples that had to go.
        probe: Samples on which forgetting shows.
        unseen: Test samples of the same classes, which the model never saw.
        retained: Test samples on which nothing should be lost.
    """

    title: str
    forgotten: NDArray[np.int64]
    probe: NDArray[np.int64]
    unseen: NDArray[np.int64]
    retained: NDArray[np.int64]


def class_target(source: DatasetSource, label: int) -> Target:
    """Return the target of a class request."""
    manifest = source.manifest
    train, test = manifest.positions("train"), manifest.positions("test")
    of_class = test[manifest.labels[test] == label]
    return Target(
        title=f"class {label}",
        forgotten=train[manifest.labels[train] == label],
        probe=of_class,
        unseen=of_class,
        retained=test[manifest.labels[test] != label],
    )


def samples_target(source: DatasetSource, sample_ids: tuple[str, ...], without_class: int) -> Target:
    """Return the target of a sample request on a model that has forgotten a class before."""
    manifest = source.manifest
    test = manifest.positions("test")
    forgotten = np.flatnonzero(np.isin(manifest.sample_ids, sample_ids))
    known = test[manifest.labels[test] != without_class]
    return Target(
        title=f"{len(forgotten)} samples",
        forgotten=forgotten,
        probe=forgotten,
        unseen=known[np.isin(manifest.labels[known], manifest.labels[forgotten])],
        retained=known,
    )


def score(params: Params, source: DatasetSource, target: Target) -> Scores:
    """Measure one model against one target."""

    def logits(positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return metrics.logits_of(setting.build(), params, SampleSet(source, positions))

    forgotten, unseen = logits(target.forgotten), logits(target.unseen)
    return Scores(
        retained=metrics.accuracy(*logits(target.retained)),
        forgotten=metrics.accuracy(*logits(target.probe)),
        attack=metrics.auc(
            -metrics.cross_entropy(*forgotten), -metrics.cross_entropy(*unseen), seed=ATTACK_SEED
        ),
        confidences=metrics.confidence(*forgotten),
    )
