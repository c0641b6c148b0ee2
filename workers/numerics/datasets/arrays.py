"""Arrays in files: a folder of .npy files, memory-mapped, or one .npz file, which is read whole.

Arrays, by file name or key, one entry a row; only images and labels must be there:

    images      uint8 in [0, 255] or floating point, [N, H, W], [N, C, H, W] or [N, H, W, C]
    labels      integers from 0
    sample_ids  text or integers; "split/index" if left out
    subject_ids text or integers
    splits      "train", "holdout" or "test"; all "train" if left out
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.numerics.datasets.base import (
    DatasetSpecError,
    Manifest,
    ManifestError,
    Normalisation,
    ReaderSource,
)
from workers.numerics.datasets.pixels import as_images

_REQUIRED = ("images", "labels")
_OPTIONAL = ("sample_ids", "subject_ids", "splits")
_CHANNELS = (1, 3, 4)


def open_arrays(path: Path, name: str, normalisation: Normalisation | None = None) -> ReaderSource:
    """Open a folder of .npy files or an .npz file.

    Raises:
        DatasetSpecError: an array is missing, unreadable, or of the wrong type or shape.
        ManifestError: the columns contradict one another.
    """
    arrays = {key: array for key in (*_REQUIRED, *_OPTIONAL) if (array := _load(path, key)) is not None}
    missing = [key for key in _REQUIRED if key not in arrays]
    if missing:
        raise DatasetSpecError(
            f"expected arrays {' and '.join(_REQUIRED)} in {path}, {' and '.join(missing)} not there; "
            "write them as .npy files of a folder or as keys of an .npz file"
        )
    images = arrays.pop("images")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise DatasetSpecError(
            f"expected images of uint8 or floating point, got {images.dtype}; convert them"
        )
    manifest = Manifest.of(**arrays)
    if len(images) != len(manifest):
        raise ManifestError(
            f"expected an image a label, got {len(images)} and {len(manifest)}; make them agree"
        )
    channels_last = _has_channels_last(images.shape)

    def read(positions: NDArray[np.int64]) -> Tensor:
        return as_images(images[positions], channels_last=channels_last)

    return ReaderSource(name, manifest, _image_shape(images.shape, channels_last), read, normalisation)


def _has_channels_last(shape: tuple[int, ...]) -> bool:
    """Tell [N, H, W, C] from [N, C, H, W] and [N, H, W] by where 1, 3 or 4 channels can be; first wins."""
    if len(shape) == 3 or (len(shape) == 4 and shape[1] in _CHANNELS):
        return False
    if len(shape) == 4 and shape[3] in _CHANNELS:
        return True
    raise DatasetSpecError(
        f"expected images of shape [N, H, W], [N, C, H, W] or [N, H, W, C] with 1, 3 or 4 channels, "
        f"got {list(shape)}; store them in one of these layouts"
    )


def _image_shape(shape: tuple[int, ...], channels_last: bool) -> tuple[int, int, int]:
    """Return (C, H, W)."""
    if len(shape) == 3:
        return (1, shape[1], shape[2])
    return (shape[3], shape[1], shape[2]) if channels_last else (shape[1], shape[2], shape[3])


def _load(path: Path, key: str) -> NDArray[Any] | None:
    """Return one array, or None if it is not there; never unpickles."""
    try:
        if path.is_dir():
            file = path / f"{key}.npy"
            return np.load(file, mmap_mode="r", allow_pickle=False) if file.exists() else None
        with np.load(path, allow_pickle=False) as bundle:
            array: NDArray[Any] | None = bundle.get(key)
            return array
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise DatasetSpecError(
            f"expected array {key!r} of {path} as plain NumPy data, got {error}; "
            "write it with numpy.save or numpy.savez, without Python objects"
        ) from error
