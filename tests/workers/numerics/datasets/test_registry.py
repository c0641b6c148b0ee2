"""Descriptions of data sets: each kind is opened, and a wrong one says which field to correct."""

import numpy as np
import pytest

from workers.numerics.datasets.base import DatasetSpecError
from workers.numerics.datasets.registry import open_source


@pytest.fixture
def arrays(tmp_path):
    folder = tmp_path / "data" / "faces"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.zeros((2, 3, 4, 4), dtype=np.uint8))
    np.save(folder / "labels.npy", np.array([0, 1]))
    return folder


def test_a_source_is_named_after_its_kind_and_path_unless_it_has_a_name(arrays):
    assert open_source({"source": "digits"}).name == "digits"
    assert open_source({"source": "arrays", "path": str(arrays)}).name == "arrays/faces"
    assert open_source({"source": "digits", "name": "pen strokes"}).name == "pen strokes"


def test_a_normalisation_is_applied(arrays):
    spec = {
        "source": "arrays",
        "path": str(arrays),
        "normalisation": {"mean": [0, 1, 2], "std": [1, 1, 2]},
    }

    images = open_source(spec).images(np.array([0]))

    assert images[0, :, 0, 0].tolist() == [0.0, -1.0, -1.0]


def test_a_path_must_lie_under_a_root_if_there_are_roots(arrays, tmp_path):
    spec = {"source": "arrays", "path": str(arrays)}
    sideways = {"source": "arrays", "path": str(tmp_path / "other" / ".." / "data" / "faces")}

    open_source(spec, [tmp_path / "other", tmp_path / "data"])
    for refused in (spec, sideways):
        with pytest.raises(DatasetSpecError, match="under one of the data roots"):
            open_source(refused, [tmp_path / "other"])


def test_a_link_out_of_the_roots_is_refused(arrays, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(arrays)

    with pytest.raises(DatasetSpecError, match="under one of the data roots"):
        open_source({"source": "arrays", "path": str(tmp_path / "inside" / "link")}, [tmp_path / "inside"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "expected source out of digits, arrays, images, torchvision, got None"),
        ({"source": "ftp"}, "got 'ftp'"),
        ({"source": ["digits"]}, "expected source out of"),
        ({"source": "arrays"}, r"missing \['path'\]"),
        ({"source": "digits", "path": "/data"}, r"unknown \['path'\]"),
        ({"source": "torchvision", "path": "/"}, r"missing \['dataset'\]"),
        ({"source": "arrays", "path": 3}, "expected path to be text"),
        ({"source": "arrays", "path": ""}, "expected path to be text"),
        ({"source": "arrays", "path": "/nowhere/at/all"}, "nothing is there"),
        ({"source": "digits", "normalisation": [0.1, 0.2]}, "expected normalisation as"),
        ({"source": "digits", "normalisation": {"mean": [0], "std": [0]}}, "a std above 0"),
        ({"source": "digits", "normalisation": {"mean": [0], "std": ["1"]}}, "lists of numbers"),
        ({"source": "digits", "normalisation": {"mean": [0], "std": [float("nan")]}}, "lists of numbers"),
        ({"source": "digits", "normalisation": {"mean": [0, 0], "std": [1, 1]}}, "for 1 channels, got 2"),
    ],
)
def test_a_description_that_is_wrong_says_what_to_correct(spec, message):
    with pytest.raises(DatasetSpecError, match=message):
        open_source(spec)
