"""torchvision's files from a local root: split by a fixed permutation, never downloaded."""

import struct

import numpy as np
import pytest

from workers.numerics.datasets.base import DatasetSpecError
from workers.numerics.datasets.torchvision import open_torchvision


def write_idx(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def root(tmp_path):
    """A tiny MNIST in its published format: 50 rows to train on, 10 to test on, each showing its number."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, size in (("train", 50), ("t10k", 10)):
        pixels = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None], (size, 28, 28))
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(size, dtype=np.uint8) % 10)
    return tmp_path


def test_rows_are_the_train_part_then_the_test_part(root):
    source = open_torchvision(root, "MNIST", "torchvision/MNIST")

    images = source.images(np.array([49, 50, 59]))

    assert source.input_shape == (1, 28, 28)
    assert (images[:, 0, 0, 0] * 255).round().tolist() == [49, 0, 9]
    assert source.manifest.positions("test").tolist() == list(range(50, 60))


def test_a_tenth_of_the_train_part_is_held_out_and_never_another(root):
    first = open_torchvision(root, "MNIST", "one").manifest
    second = open_torchvision(root, "MNIST", "two").manifest

    assert len(first.positions("train")) == 45
    assert first.positions("holdout").tolist() == second.positions("holdout").tolist() == [14, 34, 42, 44, 46]


def test_an_absent_data_set_is_not_downloaded(tmp_path):
    with pytest.raises(DatasetSpecError, match="download it there with torchvision first"):
        open_torchvision(tmp_path, "CIFAR10", "cifar")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(DatasetSpecError, match="out of MNIST, FashionMNIST, CIFAR10, CIFAR100, got 'SVHN'"):
        open_torchvision(tmp_path, "SVHN", "svhn")


def test_old_files_of_torch_save_are_refused(root):
    (root / "MNIST" / "processed").mkdir()

    with pytest.raises(DatasetSpecError, match="remove it"):
        open_torchvision(root, "MNIST", "mnist")
