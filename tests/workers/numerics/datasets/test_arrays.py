"""Arrays in files: every layout and type gives the same images, and nothing is unpickled."""

import numpy as np
import pytest
import torch

from workers.numerics.datasets.arrays import open_arrays
from workers.numerics.datasets.base import DatasetRowError, DatasetSpecError, ManifestError

IMAGES = np.arange(4 * 3 * 5 * 6, dtype=np.uint8).reshape(4, 3, 5, 6)  # [N, C, H, W]
LABELS = np.array([0, 2, 1, 2])


def folder(path, **arrays):
    for key, array in arrays.items():
        np.save(path / f"{key}.npy", array)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_and_an_npz_give_the_same_rows(tmp_path, packed):
    columns = {
        "splits": ["train", "train", "test", "holdout"],
        "sample_ids": [7, 8, 9, 10],
        "subject_ids": list("aabb"),
    }
    if packed:
        path = tmp_path / "data.npz"
        np.savez(path, images=IMAGES, labels=LABELS, **columns)
    else:
        path = folder(tmp_path, images=IMAGES, labels=LABELS, **columns)

    source = open_arrays(path, "data")

    assert source.manifest.sample_ids.tolist() == ["7", "8", "9", "10"]
    assert source.manifest.subject_ids.tolist() == list("aabb")
    assert source.manifest.positions("train").tolist() == [0, 1]
    assert source.manifest.labels.tolist() == LABELS.tolist()
    assert torch.equal(source.images(np.array([2, 0])), torch.from_numpy(IMAGES[[2, 0]] / np.float32(255)))


@pytest.mark.parametrize(
    "stored",
    [IMAGES, IMAGES.transpose(0, 2, 3, 1), IMAGES / np.float32(255), (IMAGES / 255).transpose(0, 2, 3, 1)],
    ids=["bytes first", "bytes last", "float32 first", "float64 last"],
)
def test_every_layout_and_type_gives_the_same_images(tmp_path, stored):
    source = open_arrays(folder(tmp_path, images=stored, labels=LABELS), "data")

    images = source.images(np.array([1, 3]))

    assert source.input_shape == (3, 5, 6) and images.dtype == torch.float32
    assert torch.allclose(images, torch.from_numpy(IMAGES[[1, 3]] / np.float32(255)))


def test_grey_images_get_a_channel(tmp_path):
    source = open_arrays(folder(tmp_path, images=IMAGES[:, 0], labels=LABELS), "data")

    assert source.input_shape == (1, 5, 6)
    assert source.images(np.array([0])).shape == (1, 1, 5, 6)


def test_a_row_that_is_not_finite_is_found_when_it_is_read_and_not_before(tmp_path):
    images = IMAGES.astype(np.float32)
    images[2, 0, 0, 0] = np.nan
    source = open_arrays(folder(tmp_path, images=images, labels=LABELS), "data")

    source.images(np.array([0, 1, 3]))
    with pytest.raises(DatasetRowError, match="row 2"):
        source.images(np.array([1, 2]))


def test_pickled_objects_are_refused(tmp_path):
    path = folder(tmp_path, images=IMAGES, labels=LABELS)
    np.save(path / "sample_ids.npy", np.array(["a", "b", "c", None], dtype=object), allow_pickle=True)

    with pytest.raises(DatasetSpecError, match=r"'sample_ids' .* without Python objects"):
        open_arrays(path, "data")


def test_a_file_that_is_no_array_is_refused(tmp_path):
    path = folder(tmp_path, images=IMAGES)
    (path / "labels.npy").write_bytes(b"not an array")

    with pytest.raises(DatasetSpecError, match=r"'labels' .* as plain NumPy data"):
        open_arrays(path, "data")


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"labels": LABELS}, DatasetSpecError, "images not there"),
        ({"images": IMAGES}, DatasetSpecError, "labels not there"),
        ({"images": IMAGES.astype(np.int32), "labels": LABELS}, DatasetSpecError, "got int32"),
        ({"images": IMAGES[:, :2].repeat(4, 1), "labels": LABELS}, DatasetSpecError, r"got \[4, 8, 5, 6\]"),
        ({"images": IMAGES[:3], "labels": LABELS}, ManifestError, "got 3 and 4"),
        ({"images": IMAGES, "labels": LABELS / 2}, ManifestError, "integers"),
    ],
)
def test_arrays_that_do_not_make_a_data_set_are_refused(tmp_path, arrays, error, message):
    with pytest.raises(error, match=message):
        open_arrays(folder(tmp_path, **arrays), "data")
