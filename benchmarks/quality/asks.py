"""The requests that the bench ranks methods on, the same in every seed: from a whole class to a few samples.

- *class* and *three classes*: as a privacy team names them.
- *subclass*: the smaller of the two clusters of a class's images; its label stays in use.
- *random*: one percent of the training samples, drawn evenly; a model need not have memorised any of them.
- *canaries*: one percent with wrong labels, which only memory can answer; the model learned them as wrong.
- *coherent*: the one percent nearest to one sample, as a person's pictures are near each other.

Everything but the first two is a request for samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from benchmarks.setting import NUM_CLASSES, Setting
from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource, Manifest, ReaderSource
from workers.unlearning.base import Kind

SHARE = 0.01
FEWEST = 10  # samples, where a percent is less
ONE_CLASS, THREE_CLASSES, SPLIT_CLASS = (3,), (0, 4, 7), 8


@dataclass(frozen=True, eq=False)
class Ask:
    """One request.

    Attributes:
        name: of its kind, a key of KINDS.
        kind: what the methods are told.
        classes: to forget; empty for samples.
        positions: int64, training rows to forget.
        source: what the model learned from; canaries have labels of their own.
    """

    name: str
    kind: Kind
    classes: tuple[int, ...]
    positions: NDArray[np.int64]
    source: DatasetSource

    @property
    def forget(self) -> SampleSet:
        """The samples to forget."""
        return SampleSet(self.source, self.positions)

    @property
    def retain(self) -> SampleSet:
        """All other training samples."""
        train = self.source.manifest.positions("train")
        return SampleSet(self.source, np.setdiff1d(train, self.positions))

    def holdout(self, parity: int) -> SampleSet:
        """Return the half of the holdout that chooses strengths (0), or that only the audit reads (1)."""
        return SampleSet(self.source, self.source.manifest.positions("holdout")[parity::2])


def one_class(setting: Setting) -> Ask:
    """Forget one class."""
    return _of_classes("class", setting, ONE_CLASS)


def three_classes(setting: Setting) -> Ask:
    """Forget three classes at once."""
    return _of_classes("three classes", setting, THREE_CLASSES)


def subclass(setting: Setting) -> Ask:
    """Forget the smaller of the two clusters of one class's images."""
    members = setting.samples("train", (SPLIT_CLASS,))
    pixels = setting.source.images(members.positions).flatten(1).numpy()
    cluster = KMeans(2, n_init=4, random_state=0).fit_predict(pixels)
    smaller = int(np.bincount(cluster).argmin())
    return Ask("subclass", Kind.SAMPLES, (), members.positions[cluster == smaller], setting.source)


def random(setting: Setting) -> Ask:
    """Forget one percent, drawn evenly."""
    return Ask("random", Kind.SAMPLES, (), _drawn(setting, "random"), setting.source)


def canaries(setting: Setting) -> Ask:
    """Forget one percent that carry wrong labels."""
    chosen = _drawn(setting, "canaries")
    manifest = setting.source.manifest
    labels = manifest.labels.copy()
    shift = 1 + np.arange(len(chosen)) % (NUM_CLASSES - 1)
    labels[chosen] = (labels[chosen] + shift) % NUM_CLASSES
    source = ReaderSource(
        name=f"{setting.source.name}-canaries",
        manifest=Manifest.of(labels, manifest.splits),
        input_shape=setting.source.input_shape,
        read=setting.source.images,
    )
    return Ask("canaries", Kind.SAMPLES, (), chosen, source)


def coherent(setting: Setting) -> Ask:
    """Forget the one percent nearest to one sample, itself among them."""
    train = setting.source.manifest.positions("train")
    pixels = setting.source.images(train).flatten(1).numpy()
    distance = np.square(pixels - pixels[len(pixels) // 2]).sum(1)
    nearest = np.sort(train[np.argsort(distance, kind="stable")[: _size(len(train))]])
    return Ask("coherent", Kind.SAMPLES, (), nearest, setting.source)


KINDS: MappingProxyType[str, Callable[[Setting], Ask]] = MappingProxyType(
    {
        "class": one_class,
        "three classes": three_classes,
        "subclass": subclass,
        "random": random,
        "canaries": canaries,
        "coherent": coherent,
    }
)


def _of_classes(name: str, setting: Setting, classes: tuple[int, ...]) -> Ask:
    return Ask(name, Kind.CLASS, classes, setting.samples("train", classes).positions, setting.source)


def _drawn(setting: Setting, name: str) -> NDArray[np.int64]:
    train = setting.source.manifest.positions("train")
    order = seeding.fixed_permutation(len(train), f"{setting.name} {name}")
    return np.sort(train[order[: _size(len(train))]])


def _size(num_train: int) -> int:
    return max(FEWEST, round(SHARE * num_train))
