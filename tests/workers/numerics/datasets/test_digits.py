"""The bundled digits: split the same way for ever, stratified, in the unit interval."""

import numpy as np
import torch

from workers.numerics.datasets.base import Normalisation
from workers.numerics.datasets.digits import open_digits


def test_the_splits_have_their_sizes_and_never_change():
    manifest = open_digits().manifest

    sizes = [len(manifest.positions(split)) for split in ("train", "holdout", "test")]
    assert sizes == [1077, 360, 360]
    assert manifest.positions("holdout")[:6].tolist() == [0, 3, 6, 10, 15, 21]


def test_each_class_is_split_in_the_same_ratio():
    manifest = open_digits().manifest
    totals = np.bincount(manifest.labels)

    for split, share in (("train", 0.6), ("holdout", 0.2), ("test", 0.2)):
        counts = np.bincount(manifest.labels[manifest.positions(split)])
        assert np.abs(counts - share * totals).max() < 2


def test_images_lie_in_the_unit_interval():
    source = open_digits()

    images = source.images(np.arange(1797))

    assert images.shape == (1797, *source.input_shape) and images.dtype == torch.float32
    assert float(images.min()) == 0 and float(images.max()) == 1


def test_normalised_images_are_standardised():
    source = open_digits(normalisation=Normalisation((0.3053,), (0.3760,)))

    images = source.images(np.arange(1797))

    assert abs(float(images.mean())) < 1e-3 and abs(float(images.std()) - 1) < 1e-3
