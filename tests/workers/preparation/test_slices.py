"""States are found by what they saw, and only whole; what saw a forgotten sample is nobody's any more."""

import numpy as np
import pytest
import torch

from workers.preparation.checkpoints import Checkpoint
from workers.preparation.identity import after_slices, digest_of
from workers.preparation.slices import Slices

TRAINING = {"recipe": "a", "data set": "b", "excluded rows": "c", "architecture": "d", "device": "e"}
SLICES = [np.array([1, 5]), np.array([2, 3])]
STATE = after_slices(TRAINING, 0, SLICES)
CHECKPOINT = Checkpoint(
    num_done=3,
    seconds=1.0,
    params={"w": torch.ones(2)},
    momentum={"w": torch.zeros(2)},
    generators={"cpu": torch.zeros(8, dtype=torch.uint8)},
)


@pytest.fixture
def slices(tmp_path):
    return Slices(tmp_path / "slices")


def test_a_state_is_found_by_what_it_saw(slices):
    slices.save(CHECKPOINT, STATE)

    found = slices.load(after_slices({**TRAINING, "excluded rows": "others"}, 0, SLICES))

    assert found is not None
    assert torch.equal(found.params["w"], CHECKPOINT.params["w"])


@pytest.mark.parametrize(
    "other",
    [
        after_slices(TRAINING, 1, SLICES),
        after_slices(TRAINING, 0, SLICES[:1]),
        after_slices(TRAINING, 0, [np.array([1, 5, 2, 3])]),
        after_slices(TRAINING, 0, [np.array([1]), np.array([2, 3])]),
        after_slices({**TRAINING, "recipe": "z"}, 0, SLICES),
        after_slices({**TRAINING, "device": "z"}, 0, SLICES),
    ],
)
def test_a_state_that_saw_anything_else_is_another(slices, other):
    slices.save(CHECKPOINT, STATE)

    assert slices.load(other) is None


def test_a_torn_state_is_none(slices):
    slices.save(CHECKPOINT, STATE)
    (file,) = slices.folder(STATE).iterdir()
    file.write_bytes(file.read_bytes()[:100])

    assert slices.load(STATE) is None


def test_a_state_under_the_name_of_another_is_none(slices):
    other = after_slices(TRAINING, 0, SLICES[:1])
    slices.save(CHECKPOINT, STATE)
    (file,) = slices.folder(STATE).iterdir()
    file.rename(file.with_name(f"{digest_of(other)}.safetensors"))

    assert slices.load(other) is None


def test_all_devices_and_shards_of_a_training_share_a_folder_that_no_other_has(slices):
    elsewhere = after_slices({**TRAINING, "device": "cuda"}, 3, SLICES)

    assert slices.folder(STATE) == slices.folder(elsewhere) == slices.folder(TRAINING)
    assert slices.folder(STATE) != slices.folder({**TRAINING, "recipe": "z"})


def test_the_others_are_all_files_but_the_named_half_written_ones_among_them(slices):
    slices.save(CHECKPOINT, STATE)
    slices.save(CHECKPOINT, after_slices(TRAINING, 0, SLICES[:1]))
    torn = slices.folder(STATE) / ".half.safetensors.123"
    torn.write_bytes(b"weights")

    others = slices.others(TRAINING, [digest_of(STATE)])

    named = digest_of(after_slices(TRAINING, 0, SLICES[:1]))
    assert {file.name for file in others} == {torn.name, f"{named}.safetensors"}


def test_without_a_folder_there_are_no_others(slices):
    assert slices.others(TRAINING, []) == []


def test_a_state_that_cannot_be_written_is_told_and_ends_nothing(tmp_path):
    heard = []
    (tmp_path / "slices").write_text("a file where the folder should be")
    slices = Slices(tmp_path / "slices", heard.append)

    slices.save(CHECKPOINT, STATE)

    assert len(heard) == 1
