"""scikit-learn's bundled handwritten digits: 1,797 images of 8 x 8, for the demo and the tests."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.datasets.base import SPLITS, Manifest, Normalisation, ReaderSource

_BRIGHTEST = 16.0


def open_digits(name: str = "digits", normalisation: Normalisation | None = None) -> ReaderSource:
    """Open the digits: 1,077 to train on, 360 held out, 360 to test on; stratified, the same every time."""
    bundle = load_digits()
    images = (bundle.images / _BRIGHTEST).astype(np.float32)[:, None]  # [1797, 1, 8, 8]

    def read(positions: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(images[positions])

    return ReaderSource(
        name=name,
        manifest=Manifest.of(bundle.target, splits=_splits(bundle.target)),
        input_shape=(1, 8, 8),
        read=read,
        normalisation=normalisation,
    )


def _splits(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Deal the rows, shuffled and then sorted by class, to the splits 3 : 1 : 1, as one deals cards."""
    shuffled = seeding.fixed_permutation(len(labels), "digits")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    deal = [SPLITS.index(split) for split in ("holdout", "test", "train", "train", "train")]
    splits = np.empty(len(labels), dtype=np.uint8)
    splits[by_class] = np.resize(np.array(deal, dtype=np.uint8), len(labels))
    return splits
