"""A folder of image files with a CSV manifest; a file is opened when its row is asked for, never before.

The CSV has a header and one line a sample: sample_id, file, label, and optionally subject_id and split.
Files are paths within the folder. The first row's image fixes size and colour (grey or RGB) for all.
"""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from workers.numerics.datasets.base import (
    DatasetRowError,
    DatasetSpecError,
    Manifest,
    ManifestError,
    Normalisation,
    ReaderSource,
)
from workers.numerics.datasets.pixels import as_images

_REQUIRED = ("sample_id", "file", "label")
_OPTIONAL = ("subject_id", "split")
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY_MODES = ("1", "L")
_COLOUR_MODES = ("P", "RGB", "RGBA", "CMYK", "YCbCr", "LA")

_STRETCH = 500  # rows read at a time: fewer new lists than start the garbage collector

Columns = dict[str, list[str]]


def open_images(
    path: Path, manifest_file: str, name: str, normalisation: Normalisation | None = None
) -> ReaderSource:
    """Open a folder of image files.

    Args:
        path: the folder.
        manifest_file: name of the CSV within the folder.
        name: of the data set.
        normalisation: of the images.

    Raises:
        DatasetSpecError: the CSV cannot be read or lacks a column.
        ManifestError: its rows contradict one another.
        DatasetRowError: the first row's image cannot be read.
    """
    folder = path.resolve()
    columns = _read_columns(folder / manifest_file)
    manifest = Manifest.of(
        _labels(columns["label"]),
        splits=columns.get("split"),
        sample_ids=columns["sample_id"],
        subject_ids=columns.get("subject_id"),
    )
    files = columns["file"]
    first = _read_pixels(folder, files[0], 0)

    def read(positions: NDArray[np.int64]) -> Tensor:
        pixels = np.empty((len(positions), *first.shape), dtype=np.uint8)
        for index, position in enumerate(positions.tolist()):
            pixels[index] = _read_pixels(folder, files[position], position, like=first)
        return as_images(pixels)

    height, width = first.shape[:2]
    channels = 1 if first.ndim == 2 else first.shape[2]
    return ReaderSource(name, manifest, (channels, height, width), read, normalisation)


def _read_columns(file: Path) -> Columns:
    """Return the known columns of a CSV, by name."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = (row for row in csv.reader(lines) if row)
            header = next(reader, [])
            columns = _transpose(reader, len(header))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetSpecError(
            f"expected a CSV manifest in UTF-8 at {file}, got {error}; write one"
        ) from error
    missing = [column for column in _REQUIRED if column not in header]
    if missing:
        raise DatasetSpecError(
            f"expected columns {', '.join(_REQUIRED)} in the first line of {file.name}, "
            f"{', '.join(missing)} not there; add them"
        )
    return {
        name: column for name, column in zip(header, columns, strict=True) if name in _REQUIRED + _OPTIONAL
    }


def _transpose(rows: Iterator[list[str]], num_columns: int) -> list[list[str]]:
    """Return rows as columns, without ever holding all the rows.

    Raises:
        ManifestError: a row has more or fewer fields than the header.
    """
    columns: list[list[str]] = [[] for _ in range(num_columns)]
    num_read = 0
    while stretch := list(islice(rows, _STRETCH)):
        for index, row in enumerate(stretch, start=num_read):
            if len(row) != num_columns:
                raise ManifestError(
                    f"expected {num_columns} fields a row, row {index} has {len(row)}; correct it"
                )
        for column, values in zip(columns, zip(*stretch, strict=True), strict=True):
            column.extend(values)
        num_read += len(stretch)
    return columns


def _labels(column: list[str]) -> NDArray[np.int64]:
    labels = np.empty(len(column), dtype=np.int64)
    for row, label in enumerate(column):
        try:
            labels[row] = int(label)
        except (ValueError, OverflowError) as error:
            raise ManifestError(
                f"expected an integer label at row {row}, got {label!r}; number the classes from 0"
            ) from error
    return labels


def _read_pixels(
    folder: Path, file: str, position: int, like: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Return one image as bytes, [H, W] if grey or [H, W, 3], of the same layout as `like` if given."""
    path = (folder / file).resolve()
    if not path.is_relative_to(folder):
        raise DatasetRowError(position, "a file outside the data set's folder")
    try:
        with Image.open(path, formats=_FORMATS) as image:
            pixels = np.asarray(image.convert(_mode(image.mode, like)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetRowError(position, f"{type(error).__name__} on opening its file") from error
    if like is not None and pixels.shape != like.shape:
        raise DatasetRowError(
            position, f"an image of {pixels.shape[:2]} pixels among images of {like.shape[:2]}"
        )
    return pixels


def _mode(stored: str, like: NDArray[np.uint8] | None) -> str:
    """Return the mode to read an image in: the one of `like`, or else grey for grey and RGB for colour."""
    if stored not in _GREY_MODES + _COLOUR_MODES:
        raise ValueError(f"8-bit grey or colour expected, got mode {stored}")
    grey = stored in _GREY_MODES if like is None else like.ndim == 2
    return "L" if grey else "RGB"
