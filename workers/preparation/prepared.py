"""What must exist before a deletion request comes, so that most requests need no pass over the training data.

Made once for a version of a model: the codes it was trained with and the Fisher of each, the Fisher of each
class's training samples, and the accuracies that later versions are held against. What a full training
costs is measured beside it, by `training.estimate_seconds`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import fisher, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource, Manifest, ReaderSource
from workers.numerics.fisher import ClassFishers
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params, conform
from workers.preparation import training
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import Build, Progress

_BATCH_SIZE = 64


@dataclass(frozen=True)
class Baseline:
    """What the version scores before anything is forgotten.

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


@dataclass(frozen=True)
class Prepared:
    """The preparation of one version.

    Attributes:
        codes: float32 [classes, C, H, W]; None if the model was trained without codes.
        code_fishers: class -> squared gradient at its code; empty if there are no codes.
        class_fishers: class -> mean Fisher over its training samples; a class without any is absent.
        class_counts: class -> number of those samples.
        baseline: accuracies.
        loose: parameters whose Fisher took a backward pass a sample; empty for common networks.
    """

    codes: Tensor | None
    code_fishers: dict[int, Params]
    class_fishers: dict[int, Params]
    class_counts: dict[int, int]
    baseline: Baseline
    loose: tuple[str, ...]

    @property
    def class_information(self) -> ClassInformation:
        """The Fishers of the classes, with their counts."""
        return ClassInformation.of_means(self.class_fishers, self.class_counts)

    @property
    def code_information(self) -> ClassInformation | None:
        """The Fishers of the codes, one a class; None without codes."""
        ones = dict.fromkeys(self.code_fishers, 1)
        return ClassInformation.of_means(self.code_fishers, ones) if ones else None


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
    """Prepare a version of a model for deletion requests; runs on the device of `params`.

    Args:
        build: makes the untrained model.
        params: the version's full state.
        source: the data it learned from.
        recipe: how it was trained; says whether codes were mixed in, and which.
        excluded: positions that this version has forgotten; nothing is kept of them.
        classes: the classes that this version still knows; all of the data set's if None.
        progress: called with the share done; may raise to cancel.

    Raises:
        WeightsError: `params` is no state of the model.
        FisherError: a label has no output, or the model has no per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        DatasetRowError: a row cannot be read.
    """
    model = build()
    params = conform(model, params)
    known = set(range(source.manifest.num_classes) if classes is None else classes)
    learned = _of_classes(training.remaining(source, "train", excluded), known)
    holdout = _of_classes(training.remaining(source, "holdout", excluded), known)

    codes = training.draw_recipe_codes(source, recipe)
    code_set = None if codes is None else _of_classes(_as_samples(codes), known)
    by_class = _fishers(model, params, learned, source, progress)
    by_code = None if code_set is None else _fishers(model, params, code_set, source)
    return Prepared(
        codes=codes,
        code_fishers={} if by_code is None else by_code.fishers,
        class_fishers=by_class.fishers,
        class_counts={label: by_class.counts[label] for label in sorted(known)},
        baseline=_baseline(model, params, holdout, code_set),
        loose=by_class.loose,
    )


def _of_classes(samples: SampleSet, known: set[int]) -> SampleSet:
    return samples.take(np.flatnonzero(np.isin(samples.labels.numpy(), list(known))))


def _as_samples(codes: Tensor) -> SampleSet:
    """Return the codes as samples of their classes; they are in the network's input scale already."""
    rows = np.arange(len(codes))
    channels, height, width = codes.shape[1:]

    def read(positions: NDArray[np.int64]) -> Tensor:
        return codes[positions]

    return SampleSet(ReaderSource("codes", Manifest.of(rows), (channels, height, width), read), rows)


def _fishers(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    source: DatasetSource,
    progress: Progress | None = None,
) -> ClassFishers:
    return fisher.per_class_fishers(
        model, params, samples, source.manifest.num_classes, batch_size=_BATCH_SIZE, progress=progress
    )


def _baseline(model: nn.Module, params: Params, holdout: SampleSet, code_set: SampleSet | None) -> Baseline:
    accuracy_codes = None
    if code_set is not None and len(code_set):
        accuracy_codes = metrics.accuracy(*metrics.logits_of(model, params, code_set))
    if len(holdout) == 0:
        return Baseline(None, {}, accuracy_codes, 0)
    logits, labels = metrics.logits_of(model, params, holdout)
    by_class = metrics.per_class_accuracy(logits, labels)
    return Baseline(metrics.accuracy(logits, labels), by_class, accuracy_codes, len(holdout))
