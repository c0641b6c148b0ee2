"""A model's description in a file."""

from pathlib import Path

import pytest

from lethe import description
from lethe.client import LetheError


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "a"\n[dataset]\nsource = "digits"\n')
    (tmp_path / "a.json").write_text('{"name": "a", "dataset": {"source": "digits"}}')

    assert description.read(tmp_path / "a.toml") == description.read(tmp_path / "a.json")


def test_a_dataset_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"dataset": {"source": "arrays", "path": "data"}}')

    assert description.read(tmp_path / "a.json")["dataset"]["path"] == str(tmp_path / "data")


@pytest.mark.parametrize("text", ["{", "[1, 2]", "not json"])
def test_what_describes_no_model_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(LetheError, match="expected to describe a model"):
        description.read(tmp_path / "a.json")
