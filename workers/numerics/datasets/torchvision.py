"""Data sets in torchvision's file formats under a local root; nothing is ever downloaded.

MNIST and its kin are read from their raw idx files. CIFAR's files are pickles, and torchvision opens them
only after their MD5 was that of the published file, so no other pickle can be slipped in. torchvision itself
is imported when a data set is first opened: it draws in torch's compiler, as long as torch itself.
"""

import importlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.datasets.base import (
    SPLITS,
    DatasetSpecError,
    Manifest,
    Normalisation,
    ReaderSource,
)
from workers.numerics.datasets.pixels import as_images

DATASETS = ("MNIST", "FashionMNIST", "CIFAR10", "CIFAR100")
"""Names of torchvision's classes."""
_HOLDOUT_SHARE = 0.1


def open_torchvision(
    path: Path, dataset: str, name: str, normalisation: Normalisation | None = None
) -> ReaderSource:
    """Open a data set: rows are torchvision's train part, then its test part.

    The last tenth of the train part, in a permutation fixed by the data set's name, is held out.

    Args:
        path: torchvision's root folder.
        dataset: one of DATASETS.
        name: of the data set.
        normalisation: of the images.

    Raises:
        DatasetSpecError: the data set is unknown, or its files are not under the root.
    """
    if dataset not in DATASETS:
        raise DatasetSpecError(f"expected dataset out of {', '.join(DATASETS)}, got {dataset!r}; choose one")
    if (path / dataset / "processed").exists():
        raise DatasetSpecError(
            f"expected raw files under {path}, got a `processed` folder of torch.save files; remove it"
        )
    try:
        files = getattr(importlib.import_module("torchvision.datasets"), dataset)
        parts = [files(root=path, train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError, ValueError, AssertionError) as error:
        raise DatasetSpecError(
            f"expected {dataset} under {path}, got: {error}; download it there with torchvision first"
        ) from error

    pixels = np.concatenate([np.asarray(part.data) for part in parts])  # [N, H, W] or [N, H, W, C]
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    splits = np.full(len(labels), SPLITS.index("test"), dtype=np.uint8)
    splits[: len(parts[0])] = SPLITS.index("train")
    order = seeding.fixed_permutation(len(parts[0]), dataset)
    splits[order[len(order) - round(_HOLDOUT_SHARE * len(order)) :]] = SPLITS.index("holdout")

    def read(positions: NDArray[np.int64]) -> Tensor:
        return as_images(pixels[positions])

    height, width, channels = (*pixels.shape[1:], 1)[:3]
    return ReaderSource(name, Manifest.of(labels, splits), (channels, height, width), read, normalisation)
