"""An interrupted training goes on from its checkpoint and ends where the uninterrupted one does."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workers.numerics import architectures, params
from workers.numerics.datasets.base import Manifest, Normalisation, ReaderSource
from workers.preparation import checkpoints as module
from workers.preparation.checkpoints import Checkpoints
from workers.preparation.errors import CheckpointError
from workers.preparation.initial import digest_of
from workers.preparation.recipe import Schedule, TrainingRecipe
from workers.preparation.training import TrainingError, train

# 13 samples in batches of 4, 4 and 5: 9 steps in three epochs.
RECIPE = TrainingRecipe(epochs=3, batch_size=4, learning_rate=0.1, code_mix=0.4)
LABELS = [0, 1, 2] * 4 + [1]


class Cancelled(Exception):
    """Somebody stopped the training."""


def build():
    """Batch norm, dropout and a frozen bias: everything whose state a checkpoint must hold, or do without."""
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(12, 3)
    )
    model[5].bias.requires_grad_(False)
    return model


def toy(labels=LABELS, ids=None, normalisation=None):
    images = torch.rand(len(labels), 1, 4, 4, generator=torch.Generator().manual_seed(0))
    manifest = Manifest.of(labels, sample_ids=ids)
    return ReaderSource("toy", manifest, (1, 4, 4), lambda rows: images[rows], normalisation)


def stop_after(num_steps):
    """Return a progress function that cancels after so many steps of this process."""
    seen = []

    def progress(done):
        seen.append(done)
        if len(seen) == num_steps:
            raise Cancelled

    return progress


def interrupted(path, num_steps, recipe=RECIPE, **options):
    """Leave the checkpoint of a training that was cancelled after some step."""
    with pytest.raises(Cancelled):
        train(
            build, toy(), recipe, checkpoints=Checkpoints(path, 0), progress=stop_after(num_steps), **options
        )


@pytest.mark.parametrize("num_steps", range(1, 10))
@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, code_mix=0.0, steps=10), replace(RECIPE, momentum=0.0)]
)
def test_a_resumed_training_gives_the_same_bytes(tmp_path, num_steps, recipe):
    whole = train(build, toy(), recipe)
    interrupted(tmp_path / "checkpoint", num_steps, recipe)
    torch.rand(17)

    resumed = train(build, toy(), recipe, checkpoints=Checkpoints(tmp_path / "checkpoint", 0))

    assert resumed.resumed_at == num_steps
    assert params.to_bytes(resumed.params) == params.to_bytes(whole.params)


def test_a_training_may_be_interrupted_again_and_again(tmp_path):
    path = tmp_path / "checkpoint"
    interrupted(path, 1)
    for _ in range(7):  # the first thing a resumed training tells is where it stands
        interrupted(path, 2)

    resumed = train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 0))

    assert resumed.resumed_at == 8
    assert params.to_bytes(resumed.params) == params.to_bytes(train(build, toy(), RECIPE).params)


def test_a_fine_tuning_is_resumed_too(tmp_path):
    start = params.state_of(build())
    recipe = replace(RECIPE, initial=digest_of(build(), start))
    whole = train(build, toy(), recipe, initial=start)
    interrupted(tmp_path / "checkpoint", 4, recipe, initial=start)

    resumed = train(build, toy(), recipe, initial=start, checkpoints=Checkpoints(tmp_path / "checkpoint"))

    assert params.to_bytes(resumed.params) == params.to_bytes(whole.params)


def test_checkpoints_change_nothing(tmp_path):
    path = tmp_path / "checkpoint"

    kept = train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 0))

    assert params.to_bytes(kept.params) == params.to_bytes(train(build, toy(), RECIPE).params)


def test_a_finished_training_stays_until_it_is_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoint", 3600)
    first = train(build, toy(), RECIPE, checkpoints=checkpoints)
    seen = []

    again = train(build, toy(), RECIPE, checkpoints=checkpoints, progress=seen.append)
    checkpoints.remove()

    assert again.resumed_at == 9 and seen == [1.0]
    assert params.to_bytes(again.params) == params.to_bytes(first.params)
    assert again.seconds > first.seconds / 10
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_taken_when_it_is_due(tmp_path, monkeypatch):
    clock, written = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    checkpoints = Checkpoints(tmp_path / "checkpoint", every_seconds=25)
    save = checkpoints.save
    monkeypatch.setattr(
        checkpoints, "save", lambda made, identity: (written.append(made.num_done), save(made, identity))
    )

    def ten_seconds_pass(done):
        clock[0] += 10

    train(build, toy(), RECIPE, checkpoints=checkpoints, progress=ten_seconds_pass)

    assert written == [4, 7, 9]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"recipe": replace(RECIPE, seed=1)}, "another recipe"),
        ({"recipe": replace(RECIPE, epochs=4)}, "another recipe"),
        ({"source": toy([0, 1, 2] * 4 + [2])}, "another data set"),
        ({"source": toy(ids=[f"row{i}" for i in range(13)])}, "another data set"),
        ({"source": toy(normalisation=Normalisation((0.5,), (0.5,)))}, "another data set"),
        ({"excluded": np.array([3])}, "another excluded rows"),
        ({"build": lambda: nn.Sequential(*build(), nn.ReLU())}, "another architecture"),
        ({"build": lambda: architectures.mlp(16, 4, 3)}, "another architecture"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_and_left(tmp_path, changed, named):
    path = tmp_path / "checkpoint"
    interrupted(path, 3)
    before = path.read_bytes()
    same = {"build": build, "source": toy(), "recipe": RECIPE}

    with pytest.raises(CheckpointError, match=named):
        train(**{**same, **changed}, checkpoints=Checkpoints(path, 0))

    assert path.read_bytes() == before


def test_the_order_of_excluded_rows_does_not_matter(tmp_path):
    interrupted(tmp_path / "checkpoint", 2, excluded=np.array([4, 2, 2]))

    resumed = train(
        build, toy(), RECIPE, excluded=np.array([2, 4]), checkpoints=Checkpoints(tmp_path / "checkpoint")
    )

    assert resumed.resumed_at == 2


def test_a_module_that_prints_an_address_has_the_same_checkpoint_in_another_process(tmp_path):
    class Acting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(16, 3)
            self.act = lambda values: values

        def extra_repr(self):
            return f"act={self.act}"

        def forward(self, images):
            return self.act(self.head(images.flatten(1)))

    checkpoints = Checkpoints(tmp_path / "checkpoint", 0)
    train(Acting, toy(), RECIPE, checkpoints=checkpoints)

    assert train(Acting, toy(), RECIPE, checkpoints=checkpoints).resumed_at == 9


@pytest.mark.parametrize(
    "content",
    [b"", b"half a checkpoi", b"PK\x03\x04pickle", params.to_bytes({"head": torch.zeros(3)})],
    ids=["empty", "text", "pickle", "weights"],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_left(tmp_path, content):
    path = tmp_path / "checkpoint"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 0))

    assert path.read_bytes() == content


def test_a_checkpoint_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "checkpoint"
    interrupted(path, 3)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match="remove it to start anew"):
        train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 0))


def test_what_a_killed_process_wrote_half_is_ignored_and_removed(tmp_path):
    path = tmp_path / "checkpoint"
    interrupted(path, 3)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".checkpoint.{ended.pid}").write_bytes(b"half a checkpoi")

    resumed = train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 3600))

    assert resumed.resumed_at == 3
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_what_a_living_process_is_writing_stays(tmp_path):
    partial = tmp_path / f".checkpoint.{os.getppid()}"
    partial.write_bytes(b"half a checkpoi")

    Checkpoints(tmp_path / "checkpoint").load({})

    assert partial.exists()


@contextmanager
def files_no_longer_than(num_bytes):
    """Let this process write no longer file: it fails in the midst of writing, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_no_training_and_leaves_the_last_checkpoint(tmp_path):
    path, told = tmp_path / "checkpoint", []
    interrupted(path, 3)
    good = path.read_bytes()

    with files_no_longer_than(1000):
        trained = train(build, toy(), RECIPE, checkpoints=Checkpoints(path, 0, told.append))

    assert trained.resumed_at == 3
    assert [error.errno for error in told] == [errno.EFBIG] * 6
    assert params.to_bytes(trained.params) == params.to_bytes(train(build, toy(), RECIPE).params)
    assert path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [path]


def test_a_training_that_diverges_leaves_the_checkpoint_from_before(tmp_path):
    path = tmp_path / "checkpoint"
    recipe = replace(RECIPE, learning_rate=1e3, epochs=200, schedule=Schedule.CONSTANT, weight_decay=1.0)

    with pytest.raises(TrainingError, match="lower the recipe's learning_rate"):
        train(build, toy(), recipe, checkpoints=Checkpoints(path, 0))

    assert path.exists()
    params.from_bytes(path.read_bytes())  # refuses what is not finite
