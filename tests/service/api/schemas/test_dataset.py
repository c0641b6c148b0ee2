"""Descriptions of datasets: complete, named, and inside the data roots."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.api.schemas.dataset import Dataset, name_of, spec_of
from service.core import errors
from workers.numerics.datasets.registry import open_source

READER: TypeAdapter[Any] = TypeAdapter(Dataset)


def read(**fields: object) -> Any:
    """A description as a caller sent it."""
    return READER.validate_python(fields)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"source": "digits"}, "digits"),
        ({"source": "arrays", "path": "/data/faces.npz"}, "arrays/faces.npz"),
        ({"source": "images", "path": "/data/faces/"}, "images/faces"),
        ({"source": "torchvision", "path": "/data", "dataset": "MNIST"}, "torchvision/MNIST"),
        ({"source": "digits", "name": "my digits"}, "my digits"),
    ],
)
def test_a_dataset_without_a_name_is_called_by_source_and_place(fields: dict[str, object], name: str):
    dataset = read(**fields)

    assert name_of(dataset) == name
    assert spec_of(dataset, ())["name"] == name


def test_what_is_accepted_a_worker_can_open():
    dataset = read(source="digits", normalisation={"mean": [0.3], "std": [0.35]})

    assert open_source(spec_of(dataset, ())).name == "digits"


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "sql"},
        {},
        {"source": "digits", "path": "/data"},
        {"source": "arrays"},
        {"source": "arrays", "path": "data/faces"},
        {"source": "arrays", "path": ""},
        {"source": "arrays", "path": "/data/\x00"},
        {"source": "images", "path": "/data", "manifest": "../other.csv"},
        {"source": "images", "path": "/data", "manifest": "/etc/passwd"},
        {"source": "torchvision", "path": "/data", "dataset": "ImageNet"},
        {"source": "digits", "name": ""},
        {"source": "digits", "name": "a\nb"},
        {"source": "digits", "normalisation": {"mean": [0.1, 0.2], "std": [1.0]}},
        {"source": "digits", "normalisation": {"mean": [0.1], "std": [0.0]}},
        {"source": "digits", "normalisation": {"mean": [float("nan")], "std": [1.0]}},
    ],
)
def test_a_description_that_no_worker_could_open_is_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        read(**fields)


def test_a_path_must_lie_under_a_root_when_there_are_any(tmp_path: Path):
    roots = (tmp_path / "one", tmp_path / "two")
    for root in roots:
        root.mkdir()

    assert spec_of(read(source="arrays", path=str(tmp_path / "two" / "faces")), roots)["path"]
    assert spec_of(read(source="digits"), roots)["source"] == "digits"
    for outside in (tmp_path, tmp_path / "two-and-more", tmp_path / "one" / ".." / "three"):
        with pytest.raises(errors.Invalid) as refusal:
            spec_of(read(source="arrays", path=str(outside)), roots)
        assert refusal.value.code == "path_not_allowed"


def test_a_link_out_of_the_root_is_followed_and_refused(tmp_path: Path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)

    with pytest.raises(errors.Invalid):
        spec_of(read(source="arrays", path=str(root / "link" / "faces.npz")), (root,))
