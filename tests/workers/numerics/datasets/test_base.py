"""The manifest: refuses rows that contradict one another, names them by position, and is never copied."""

import numpy as np
import pytest
import torch

from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import (
    DatasetRowError,
    Manifest,
    ManifestError,
    Normalisation,
    ReaderSource,
)


def test_default_sample_ids_count_within_each_split():
    manifest = Manifest.of([0, 1, 0, 1], splits=["train", "test", "train", "holdout"])

    assert manifest.sample_ids.tolist() == ["train/00000", "test/00000", "train/00001", "holdout/00000"]
    assert manifest.num_classes == 2


def test_positions_of_a_split_are_found_once_and_shared():
    manifest = Manifest.of([0, 1, 0], splits=["train", "test", "train"])

    assert manifest.positions("train").tolist() == [0, 2]
    assert manifest.positions("train") is manifest.positions("train")
    assert manifest.positions("holdout").tolist() == []


def test_columns_cannot_be_written_through_a_manifest_but_their_owner_keeps_his():
    labels = np.array([0, 1])
    manifest = Manifest.of(labels)

    with pytest.raises(ValueError, match="read-only"):
        manifest.labels[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        manifest.positions("train")[0] = 5
    assert labels.flags.writeable and np.shares_memory(labels, manifest.labels)


def test_duplicate_sample_ids_are_named_by_row_and_never_by_id():
    with pytest.raises(ManifestError, match="rows 1 and 3 have the same") as error:
        Manifest.of([0, 1, 0, 1], sample_ids=["ann", "bob", "carol", "bob"])
    assert "bob" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": []}, "integers"),
        ({"labels": np.array([], dtype=np.int64)}, "at least one row"),
        ({"labels": [0.5, 1.0]}, "labels as a list of integers"),
        ({"labels": [[0], [1]]}, "labels as a list of integers"),
        ({"labels": [0, -1]}, "got -1 at row 1"),
        ({"labels": [0, 1], "sample_ids": ["a"]}, "columns of one length"),
        ({"labels": [0, 1], "subject_ids": ["a"]}, "columns of one length"),
        ({"labels": [0, 1], "sample_ids": ["a", ""]}, "row 1 has none"),
        ({"labels": [0, 1], "splits": ["train", "validation"]}, "row 1 has another"),
        ({"labels": [0, 1], "splits": np.array([0, 9], dtype=np.uint8)}, "row 1 has another"),
    ],
)
def test_columns_that_break_a_rule_are_refused(columns, message):
    with pytest.raises(ManifestError, match=message):
        Manifest.of(**columns)


def test_normalisation_works_channel_by_channel():
    images = torch.ones(2, 2, 3, 3)

    standardised = Normalisation((1.0, 0.5), (1.0, 0.25)).apply(images)

    assert torch.equal(standardised[:, 0], torch.zeros(2, 3, 3))
    assert torch.equal(standardised[:, 1], torch.full((2, 3, 3), 2.0))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_row_that_is_not_finite_is_named_by_its_position(value):
    pixels = torch.zeros(5, 1, 2, 2)
    pixels[3, 0, 1, 1] = value
    source = ReaderSource("broken", Manifest.of([0] * 5), (1, 2, 2), lambda positions: pixels[positions])

    with pytest.raises(DatasetRowError, match="row 3") as error:
        source.images(np.array([4, 3, 0]))
    assert error.value.position == 3


def test_a_manifest_of_a_million_rows_is_built_and_shared_not_copied():
    labels = np.arange(1_000_000) % 10
    ids = np.char.add("person-", np.arange(1_000_000).astype(np.str_))

    manifest = Manifest.of(labels, sample_ids=ids)
    source = ReaderSource(
        "large", manifest, (1, 2, 2), lambda positions: torch.zeros(len(positions), 1, 2, 2)
    )
    first = SampleSet(source, manifest.positions("train"))
    second = SampleSet(source, manifest.positions("train"))

    assert np.shares_memory(manifest.sample_ids, ids) and np.shares_memory(manifest.labels, labels)
    assert first.positions is second.positions and len(first) == 1_000_000
