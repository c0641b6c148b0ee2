"""What must exist before a deletion request comes, so that most requests need no pass over the training data.

Made for a version of a model: the codes it was trained with, the Fishers of codes and of classes (`fishers`),
and the accuracies that later versions are held against. What a full training costs is measured beside it, by
`training.estimate_seconds`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import fisher, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource, Manifest, ReaderSource
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params, conform
from workers.preparation import fishers, training
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import Build, Progress


@dataclass(frozen=True)
class Baseline:
    """What a version scores.

    Attributes:
        accuracy_holdout: on the holdout samples; None if there are none.
        accuracy_by_class: class -> accuracy on its holdout samples; a class without any is absent.
        accuracy_codes: share of codes the model puts in their class; None if it was trained without codes.
        num_holdout: holdout samples the two first rest on.
    """

    accuracy_holdout: float | None
    accuracy_by_class: dict[int, float]
    accuracy_codes: float | None
    num_holdout: int


@dataclass(frozen=True, eq=False)
class Known:
    """What a version still knows: the samples and codes of the classes that are not forgotten.

    Attributes:
        classes: ascending.
        learned: training samples.
        holdout: held-out samples.
        codes: [num_classes, C, H, W], those of forgotten classes too; None if it was trained without.
    """

    classes: tuple[int, ...]
    learned: SampleSet
    holdout: SampleSet
    codes: Tensor | None

    @property
    def code_set(self) -> SampleSet | None:
        """The codes of the known classes as samples of them; in the network's input scale already."""
        if self.codes is None:
            return None
        codes = self.codes.cpu()

        def read(positions: NDArray[np.int64]) -> Tensor:
            return codes[positions]

        shape = (codes.shape[1], codes.shape[2], codes.shape[3])
        source = ReaderSource("codes", Manifest.of(np.arange(len(codes))), shape, read)
        return SampleSet(source, np.asarray(self.classes, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Prepared:
    """The preparation of one version, all of it in memory.

    Attributes:
        codes: as in `Known`.
        code_information: the Fishers of codes, one a class; None without codes.
        class_information: the Fishers of the training samples by class.
        baseline: accuracies.
        loose: parameters whose Fisher took a backward pass a sample; empty for common networks.
    """

    codes: Tensor | None
    code_information: ClassInformation | None
    class_information: ClassInformation
    baseline: Baseline
    loose: tuple[str, ...]


def known(
    source: DatasetSource,
    codes: Tensor | None,
    excluded: NDArray[np.int64] | None = None,
    classes: Collection[int] | None = None,
) -> Known:
    """Return what a version knows.

    Args:
        source: the data it learned from.
        codes: [num_classes, C, H, W] as it was trained with; None without.
        excluded: positions that it has forgotten; nothing is read of them.
        classes: the classes that it still knows; all if None. Those that the data set lacks are left out.
    """
    present = range(source.manifest.num_classes)
    left = [label for label in present if classes is None or label in classes]
    return Known(
        classes=tuple(left),
        learned=_of_classes(training.remaining(source, "train", excluded), left),
        holdout=_of_classes(training.remaining(source, "holdout", excluded), left),
        codes=codes,
    )


def baseline(model: nn.Module, params: Params, known: Known) -> Baseline:
    """Return what a version scores on what it knows."""
    accuracy_codes = None
    code_set = known.code_set
    if code_set is not None and len(code_set):
        accuracy_codes = metrics.accuracy(*metrics.logits_of(model, params, code_set))
    if len(known.holdout) == 0:
        return Baseline(None, {}, accuracy_codes, 0)
    logits, labels = metrics.logits_of(model, params, known.holdout)
    by_class = metrics.per_class_accuracy(logits, labels)
    return Baseline(metrics.accuracy(logits, labels), by_class, accuracy_codes, len(known.holdout))


def prepare(
    build: Build,
    params: Params,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    excluded: NDArray[np.int64] | None = None,
    classes: Collection[int] | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Prepare a version of a small model for deletion requests, in memory; runs on the device of `params`.

    Args:
        build: makes the untrained model.
        params: the version's full state.
        source: as in `known`.
        recipe: how it was trained; says whether codes were mixed in, and which.
        excluded: as in `known`.
        classes: as in `known`.
        progress: called with the share done; may raise to cancel.

    Raises:
        WeightsError: `params` is no state of the model.
        FisherError: a label has no output, or the model has no per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        DatasetRowError: a row cannot be read.
    """
    model = build()
    params = conform(model, params)
    still = known(source, training.draw_recipe_codes(source, recipe), excluded, classes)
    code_set = still.code_set
    by_class, loose = _in_memory(model, params, still.learned, still.classes, progress)
    return Prepared(
        codes=still.codes,
        code_information=None if code_set is None else _in_memory(model, params, code_set, still.classes)[0],
        class_information=by_class,
        baseline=baseline(model, params, still),
        loose=loose,
    )


def _in_memory(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    classes: Collection[int],
    progress: Progress | None = None,
) -> tuple[ClassInformation, tuple[str, ...]]:
    """Hold every class's Fisher, as precise as it was computed."""
    means: dict[int, Params] = {}
    counts: dict[int, int] = {}
    loose: tuple[str, ...] = ()
    for found in fisher.each_class(
        model, params, samples, classes, batch_size=fishers.BATCH_SIZE, progress=progress
    ):
        means[found.label], counts[found.label] = found.mean, found.count
        loose = found.loose
    return ClassInformation.of_means(means, counts), loose


def _of_classes(samples: SampleSet, classes: Collection[int]) -> SampleSet:
    return samples.take(np.flatnonzero(np.isin(samples.labels.numpy(), [*classes])))
