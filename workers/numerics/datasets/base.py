"""What every source of samples offers: a manifest of its rows, and their images read on demand.

Vocabulary: a position is a row number of the manifest and the only name that the numerics and their errors
use for a sample; sample ids and subject ids belong to the data owner and never stand in a message.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

_Scalar = TypeVar("_Scalar", bound=np.generic)

SPLITS = ("train", "holdout", "test")
"""train: the model learned from it; holdout: kept from it, to calibrate and audit; test: left alone."""


class DatasetError(ValueError):
    """A data set cannot be used as it is; final until its owner changes it."""


class DatasetSpecError(DatasetError):
    """The description of a data set names something that is not there, not allowed, or of the wrong form."""


class ManifestError(DatasetError):
    """The rows of a data set contradict one another."""


class DatasetRowError(DatasetError):
    """One row of a data set cannot be read; `position` is its row number in the manifest."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(
            f"expected a readable image at row {position}, got {reason}; repair or remove the row"
        )
        self.position = position


@dataclass(frozen=True, eq=False)
class Manifest:
    """The rows of a data set: who they are, what they show, whose they are, what they may be used for.

    Arrays are shared, never copied, and read-only. Build one with `Manifest.of`.

    Attributes:
        sample_ids: str [N], unique and not empty.
        labels: int64 [N], at least 0.
        splits: uint8 [N], indices into SPLITS.
        subject_ids: str [N] or None; an empty string is a row that belongs to nobody.
    """

    sample_ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    splits: NDArray[np.uint8]
    subject_ids: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self)
        _check_values(self)

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        splits: Sequence[str] | NDArray[np.uint8] | None = None,
        sample_ids: ArrayLike | None = None,
        subject_ids: ArrayLike | None = None,
    ) -> "Manifest":
        """Build a manifest from plain columns.

        Args:
            labels: integers [N].
            splits: names out of SPLITS or their codes [N]; all "train" if None.
            sample_ids: [N]; "split/index" if None, where index counts within the split in row order.
            subject_ids: [N] or None.

        Raises:
            ManifestError: a column is ill-typed, of another length, or breaks a rule of the class.
        """
        codes = _as_codes(splits, np.size(labels))
        ids = default_sample_ids(codes) if sample_ids is None else np.asarray(sample_ids, dtype=np.str_)
        subjects = None if subject_ids is None else _read_only(np.asarray(subject_ids, dtype=np.str_))
        return cls(_read_only(ids), _read_only(_as_integers(labels)), _read_only(codes), subjects)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def num_classes(self) -> int:
        """The highest label plus one."""
        return int(self.labels.max()) + 1

    def positions(self, split: str) -> NDArray[np.int64]:
        """Return the positions of a split in rising order: one array, read-only, the same at every call."""
        return self._positions[split]

    @cached_property
    def _positions(self) -> Mapping[str, NDArray[np.int64]]:
        return {
            split: _read_only(np.flatnonzero(self.splits == code).astype(np.int64))
            for code, split in enumerate(SPLITS)
        }


@dataclass(frozen=True)
class Normalisation:
    """Per-channel standardisation: (image - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: Tensor) -> Tensor:
        """Return standardised images, [n, C, H, W] to [n, C, H, W]."""
        mean = torch.tensor(self.mean, dtype=images.dtype)[:, None, None]
        std = torch.tensor(self.std, dtype=images.dtype)[:, None, None]
        return (images - mean) / std


class DatasetSource(Protocol):
    """A data set as the numerics see it."""

    @property
    def name(self) -> str:
        """The data set's name, part of every pseudonym."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The rows; one object for the life of the source."""
        ...

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        ...

    @property
    def normalisation(self) -> Normalisation | None:
        """How images are standardised; None leaves them in [0, 1]."""
        ...

    def images(self, positions: NDArray[np.int64]) -> Tensor:
        """Read rows: float32 [n, C, H, W] on the CPU, normalised, in the order asked for.

        Raises:
            DatasetRowError: a row cannot be read.
        """
        ...


@dataclass(frozen=True, eq=False)
class ReaderSource:
    """A data source made of a manifest and a function that reads rows; kinds of source differ in no more.

    `read` takes positions [n] and returns float32 [n, C, H, W] in [0, 1] before normalisation, or raises
    DatasetRowError.
    """

    name: str
    manifest: Manifest
    input_shape: tuple[int, int, int]
    read: Callable[[NDArray[np.int64]], Tensor]
    normalisation: Normalisation | None = None

    def images(self, positions: NDArray[np.int64]) -> Tensor:
        """Read rows; see DatasetSource."""
        images = self.read(positions)
        finite = torch.isfinite(images).flatten(1).all(1)
        if not bool(finite.all()):
            raise DatasetRowError(int(positions[int(finite.int().argmin())]), "NaN or infinite values")
        return images if self.normalisation is None else self.normalisation.apply(images)


def default_sample_ids(splits: NDArray[np.uint8]) -> NDArray[np.str_]:
    """Return "split/index" for each row, counting within each split: train/00000, test/00000."""
    ids = np.zeros(len(splits), dtype=f"<U{max(map(len, SPLITS)) + 1 + max(5, len(str(len(splits))))}")
    for code, split in enumerate(SPLITS):
        rows = np.flatnonzero(splits == code)
        ids[rows] = [f"{split}/{index:05d}" for index in range(len(rows))]
    return ids


def _as_integers(labels: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ManifestError(
            f"expected labels as a list of integers, got {array.dtype} of shape {list(array.shape)}; "
            "number the classes from 0"
        )
    return array.astype(np.int64, copy=False)


def _as_codes(splits: Sequence[str] | NDArray[np.uint8] | None, length: int) -> NDArray[np.uint8]:
    """Return split names as codes; an unknown name becomes len(SPLITS), which the manifest refuses."""
    if splits is None:
        return np.zeros(length, dtype=np.uint8)
    array = np.asarray(splits)
    if array.dtype == np.uint8:
        return array
    codes = np.full(len(array), len(SPLITS), dtype=np.uint8)
    for code, split in enumerate(SPLITS):
        codes[array == split] = code
    return codes


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return a view that cannot be written through; the data is shared."""
    view = array.view()
    view.flags.writeable = False
    return view


def _check_lengths(manifest: Manifest) -> None:
    columns = {"sample_ids": manifest.sample_ids, "labels": manifest.labels, "splits": manifest.splits}
    if manifest.subject_ids is not None:
        columns["subject_ids"] = manifest.subject_ids
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ManifestError(f"expected columns of one length, got {lengths}; give every row every column")
    if lengths["labels"] == 0:
        raise ManifestError("expected at least one row, got none; point the data set at data")


def _check_values(manifest: Manifest) -> None:
    if int(manifest.labels.min()) < 0:
        row = int(manifest.labels.argmin())
        raise ManifestError(
            f"expected labels from 0 up, got {manifest.labels[row]} at row {row}; renumber the classes"
        )
    if int(manifest.splits.max()) >= len(SPLITS):
        row = int(manifest.splits.argmax())
        raise ManifestError(
            f"expected every split to be one of {', '.join(SPLITS)}, row {row} has another; correct it"
        )
    empty = np.flatnonzero(manifest.sample_ids == "")
    if len(empty):
        raise ManifestError(f"expected a sample id in every row, row {empty[0]} has none; give it one")
    _check_unique(manifest.sample_ids)


def _check_unique(sample_ids: NDArray[np.str_]) -> None:
    if len(set(sample_ids.tolist())) == len(sample_ids):
        return
    order = np.argsort(sample_ids, kind="stable")
    ids = sample_ids[order]
    first = int(np.flatnonzero(ids[1:] == ids[:-1])[0])
    raise ManifestError(
        f"expected unique sample ids, rows {order[first]} and {order[first + 1]} have the same; "
        "give each row its own"
    )
