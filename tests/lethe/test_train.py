"""`lethe train`: fine-tunes, survives being killed, and refuses early what could only fail late."""

import json
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from lethe.train import train
from tests.fixtures.processes import environment
from workers.numerics import architectures, ensembles, params
from workers.preparation.initial import digest_of

app = typer.Typer()
app.command()(train)


def described(folder: Path, **training: Any) -> Path:
    """Write the description of a network large enough to be killed in the midst of its training."""
    file = folder / "digits.json"
    record = {
        "architecture": {
            "factory": "workers.numerics.architectures:mlp",
            "arguments": {"in_features": 64, "hidden": 5000},
        },
        "dataset": {"source": "digits"},
        "training": {"epochs": 6, "learning_rate": 0.02, "code_mix": 0.1, **training},
    }
    file.write_text(json.dumps(record))
    return file


def build() -> Any:
    return architectures.mlp(64, 5000)


def pretrained(folder: Path) -> Path:
    file = folder / "pretrained.safetensors"
    params.write_file(file, params.state_of(build()))
    return file


def run(*arguments: str | Path, expect: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == expect, (result.output, result.exception)
    return result


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Add numbers in the order in which the killed process adds them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def files_no_longer_than(num_bytes: int) -> Iterator[None]:
    """Let this process write no longer file: it fails in the midst of writing, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def kill_in_the_midst(checkpoint: Path, *arguments: str | Path) -> None:
    """Start the command in a process of its own, and kill it when a third checkpoint or a later is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lethe.train", *map(str, arguments)],
        env=environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL,
    )
    seen = set()
    while len(seen) < 3 and process.poll() is None:
        if checkpoint.exists():
            seen.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_a_killed_training_goes_on_to_the_same_bytes_even_over_a_full_disk(tmp_path: Path) -> None:
    checkpoint, out, whole = tmp_path / "checkpoint", tmp_path / "resumed", tmp_path / "whole"
    file = described(tmp_path)
    asked = [file, "--out", out, "--checkpoint", checkpoint, "--checkpoint-seconds", "0"]

    kill_in_the_midst(checkpoint, *asked)
    good = checkpoint.read_bytes()
    with on_one_thread():
        with files_no_longer_than(len(good) // 4):
            refused = run(*asked, expect=1).output
        left = {one.name for one in tmp_path.iterdir()}, checkpoint.read_bytes()
        resumed = run(*asked).output
        run(file, "--out", whole)

    assert "training goes on" in refused and "could not be written" in refused
    assert left == ({"digits.json", "checkpoint"}, good)
    assert re.search(r"resumed after step \d+ of 102", resumed)
    assert out.read_bytes() == whole.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"digits.json", "resumed", "whole"}


def test_fine_tuning_says_what_the_recipe_must_name(tmp_path: Path) -> None:
    weights = pretrained(tmp_path)
    digest = digest_of(build(), params.read_file(weights))

    result = run(described(tmp_path, steps=3), "--from", weights, "--out", tmp_path / "out")

    assert f'"initial": "{digest}"' in result.output
    assert params.num_changed(params.read_file(weights), params.read_file(tmp_path / "out")) > 0


def test_a_recipe_that_names_its_start_gives_the_same_bytes(tmp_path: Path) -> None:
    weights = pretrained(tmp_path)
    digest = digest_of(build(), params.read_file(weights))
    run(described(tmp_path, steps=3), "--from", weights, "--out", tmp_path / "first")

    result = run(
        described(tmp_path, steps=3, initial=digest), "--from", weights, "--out", tmp_path / "second"
    )

    assert "must name" not in result.output
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_recipe_that_names_its_start_is_not_trained_without_it(tmp_path: Path) -> None:
    result = run(described(tmp_path, initial="0" * 64), "--out", tmp_path / "out", expect=1)

    assert "which this recipe starts from, got none" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"epochs": 0}, "epochs between 1"),
        ({"steps": 0}, "steps between 1"),
        ({"learning_rate": 1000.0, "schedule": "constant"}, "lower the recipe's learning_rate"),
    ],
)
def test_a_recipe_that_cannot_train_is_one_message(
    tmp_path: Path, training: dict[str, Any], message: str
) -> None:
    result = run(described(tmp_path, **training), "--out", tmp_path / "out", expect=1)

    assert message in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--out", "nowhere/out", "was expected to be a folder"),
        ("--out", ".", "was expected to be a file"),
        ("--checkpoint", "nowhere/checkpoint", "was expected to be a folder"),
        ("--checkpoint", "out", "expected to name different files"),
        ("--from", "out", "expected to name different files"),
        ("--from", "nowhere", "was expected to hold the weights"),
        ("--from", "digits.json", "expected a whole safetensors file"),
        ("--checkpoint", "digits.json", "expected a checkpoint"),
    ],
)
def test_paths_that_could_only_fail_are_refused_before_the_training(
    tmp_path: Path, option: str, name: str, message: str
) -> None:
    out = [] if option == "--out" else ["--out", str(tmp_path / "out")]
    file = described(tmp_path)
    before = file.read_bytes()

    result = run(file, *out, option, tmp_path / name, expect=1)

    assert message in result.output.replace("\n", " ")
    assert file.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["digits.json"]


def test_a_recipe_with_shards_leaves_its_slices_beside_the_weights_and_goes_on_from_them(
    tmp_path: Path,
) -> None:
    file = described(tmp_path, epochs=1, shards=2, slices=2)

    first = run(file, "--out", tmp_path / "out").output
    again = run(file, "--out", tmp_path / "again").output

    assert "holds the states after each slice" in first
    assert len([*(tmp_path / "slices").glob("*/*.safetensors")]) == 4
    assert re.search(r"resumed after step (\d+) of \1,", again)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "again").read_bytes()
    served = ensembles.combined(build, 2)
    params.load_params(served, params.read_file(tmp_path / "out"))


@pytest.mark.parametrize(
    ("training", "option"), [({"shards": 2}, "--checkpoint"), ({"shards": 1}, "--slices")]
)
def test_where_to_go_on_from_must_suit_the_recipe(
    tmp_path: Path, training: dict[str, Any], option: str
) -> None:
    file = described(tmp_path, **training)

    result = run(file, "--out", tmp_path / "out", option, tmp_path / "states", expect=1)

    assert "Give the other" in result.output
    assert [one.name for one in tmp_path.iterdir()] == ["digits.json"]


def test_a_head_is_trained_on_frozen_weights_and_with_other_noise_each_time(tmp_path: Path) -> None:
    file, public = described(tmp_path, code_mix=0.0, head={"l2": 0.1, "sigma": 0.1}), tmp_path / "public"
    record = json.loads(file.read_text())
    record["architecture"]["arguments"]["hidden"] = 20
    file.write_text(json.dumps(record))
    params.write_file(public, params.state_of(architectures.mlp(64, 20)))

    for name in ("one", "two"):
        assert "% of the holdout right" in run(file, "--from", public, "--out", tmp_path / name).output

    start, one, two = (params.read_file(tmp_path / name) for name in ("public", "one", "two"))
    assert {name for name in start if not torch.equal(start[name], one[name])} == {"head.weight", "head.bias"}
    assert not torch.equal(one["head.weight"], two["head.weight"])
    run(file, "--out", tmp_path / "three", expect=1)
