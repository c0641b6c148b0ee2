"""An image folder: files are opened when their row is asked for, and a bad one is named by its row alone."""

import csv

import numpy as np
import pytest
from PIL import Image

from workers.numerics.datasets.base import DatasetRowError, DatasetSpecError, ManifestError
from workers.numerics.datasets.images import open_images


def picture(path, value, mode="L", size=(4, 3)):
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, value).save(path)


def manifest(folder, rows, header=("sample_id", "file", "label")):
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        picture(tmp_path / "pictures" / f"{index}.png", 100 + index)
    manifest(tmp_path, [(f"id-{index}", f"pictures/{index}.png", index) for index in range(3)])
    return tmp_path


def test_rows_are_read_in_the_order_asked_for(folder):
    source = open_images(folder, "manifest.csv", "pictures")

    images = source.images(np.array([2, 0]))

    assert source.input_shape == (1, 3, 4) and images.shape == (2, 1, 3, 4)
    assert (images[:, 0, 0, 0] * 255).round().tolist() == [102, 100]
    assert source.images(np.array([], dtype=np.int64)).shape == (0, 1, 3, 4)


def test_subjects_and_splits_are_read_if_given(folder):
    rows = [("train", "id-0", 0, "ann", "pictures/0.png"), ("test", "id-1", 1, "", "pictures/1.png")]
    manifest(folder, rows, header=("split", "sample_id", "label", "subject_id", "file"))

    source = open_images(folder, "manifest.csv", "pictures")

    assert source.manifest.subject_ids.tolist() == ["ann", ""]
    assert source.manifest.positions("test").tolist() == [1]


def test_the_first_image_decides_whether_all_are_grey_or_coloured(folder):
    picture(folder / "pictures" / "0.png", (255, 0, 0), mode="RGB")
    source = open_images(folder, "manifest.csv", "pictures")

    images = source.images(np.array([0, 1]))

    assert source.input_shape == (3, 3, 4)
    assert images[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert (images[1, :, 0, 0] * 255).round().tolist() == [101, 101, 101]


def test_a_row_that_cannot_be_read_is_named_by_its_position_and_never_by_its_id(folder):
    source = open_images(folder, "manifest.csv", "pictures")
    (folder / "pictures" / "1.png").write_bytes(b"\x89PNG cut short")

    with pytest.raises(DatasetRowError, match="row 1, got UnidentifiedImageError") as error:
        source.images(np.array([0, 1, 2]))
    assert error.value.position == 1
    assert "id-1" not in str(error.value) and "1.png" not in str(error.value)


def test_a_missing_file_is_found_when_it_is_read(folder):
    source = open_images(folder, "manifest.csv", "pictures")
    (folder / "pictures" / "2.png").unlink()

    source.images(np.array([0, 1]))
    with pytest.raises(DatasetRowError, match="row 2, got FileNotFoundError"):
        source.images(np.array([2]))


def test_an_image_of_another_size_is_refused(folder):
    picture(folder / "pictures" / "2.png", 0, size=(5, 5))
    source = open_images(folder, "manifest.csv", "pictures")

    with pytest.raises(
        DatasetRowError, match=r"row 2, got an image of \(5, 5\) pixels among images of \(3, 4\)"
    ):
        source.images(np.array([2]))


@pytest.mark.parametrize("linked", [True, False])
def test_no_file_outside_the_folder_is_opened(folder, linked):
    outside = folder.parent / "outside.png"
    picture(outside, 7)
    if linked:
        (folder / "link.png").symlink_to(outside)
    manifest(folder, [("a", "pictures/0.png", 0), ("b", "link.png" if linked else "../outside.png", 0)])
    source = open_images(folder, "manifest.csv", "pictures")

    with pytest.raises(DatasetRowError, match="row 1, got a file outside the data set's folder"):
        source.images(np.array([1]))


@pytest.mark.parametrize(
    ("rows", "header", "error", "message"),
    [
        ([], ("sample_id", "file", "label"), ManifestError, "at least one row"),
        ([("a", 0)], ("sample_id", "label"), DatasetSpecError, "file not there"),
        (
            [("a", "pictures/0.png", "cat")],
            ("sample_id", "file", "label"),
            ManifestError,
            "label at row 0, got 'cat'",
        ),
        ([("a", "pictures/0.png", 0), ("b",)], ("sample_id", "file", "label"), ManifestError, "row 1 has 1"),
        ([("a", "pictures/0.png", 0)] * 2, ("sample_id", "file", "label"), ManifestError, "rows 0 and 1"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(folder, rows, header, error, message):
    manifest(folder, rows, header)

    with pytest.raises(error, match=message):
        open_images(folder, "manifest.csv", "pictures")


def test_empty_lines_at_the_end_do_no_harm(folder):
    with (folder / "manifest.csv").open("a") as file:
        file.write("\n\n")

    assert len(open_images(folder, "manifest.csv", "pictures").manifest) == 3


def test_a_missing_manifest_says_what_to_write(tmp_path):
    with pytest.raises(DatasetSpecError, match="expected a CSV manifest"):
        open_images(tmp_path, "manifest.csv", "pictures")


def test_a_csv_of_a_million_rows_is_read_without_opening_its_images(tmp_path, monkeypatch):
    picture(tmp_path / "0.png", 9)
    lines = [f"person-{index},0.png,{index % 10}" for index in range(1_000_000)]
    (tmp_path / "manifest.csv").write_text("sample_id,file,label\n" + "\n".join(lines))
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: opened.append(args) or real(*args, **kwargs))

    source = open_images(tmp_path, "manifest.csv", "large")

    assert len(source.manifest) == 1_000_000
    assert source.manifest.positions("train") is source.manifest.positions("train")
    assert len(opened) == 1  # the first row's, for the size of all
    source.images(np.array([5, 999_999]))
    assert len(opened) == 3
