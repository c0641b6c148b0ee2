"""`lethe train --record`: says how large the log gets, goes on after a kill, and refuses early."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from lethe.train import train
from tests.fixtures.processes import environment
from workers.numerics.datasets.digits import open_digits
from workers.preparation.update_log.reading import FileLog, open_log

app = typer.Typer()
app.command()(train)
NOBODY = np.empty(0, dtype=np.int64)


def described(folder: Path, factory: str = "mlp", **arguments: Any) -> Path:
    """Write the description of a small network on the digits."""
    file = folder / "digits.json"
    architecture = {"factory": f"workers.numerics.architectures:{factory}", "arguments": arguments}
    training = {"epochs": 2, "learning_rate": 0.05}
    file.write_text(
        json.dumps({"architecture": architecture, "dataset": {"source": "digits"}, "training": training})
    )
    return file


def run(*arguments: str | Path, expect: int = 0) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == expect, (result.output, result.exception)
    return result.output.replace("\n", " ")


def opened(folder: Path, weights: str) -> FileLog:
    log = open_log(folder, weights, NOBODY)
    assert log is not None
    return log


def test_the_log_is_sized_and_its_place_is_told(tmp_path: Path) -> None:
    file = described(tmp_path, in_features=64, hidden=8)
    log = tmp_path / "log"

    output = run(
        file,
        "--out",
        tmp_path / "out",
        "--record",
        log,
        "--record-share",
        "0.5",
        "--record-dtype",
        "bfloat16",
    )

    size = sum(one.stat().st_size for one in log.glob("*.bin"))
    assert f"The update log takes {size:,} bytes" in output
    assert f"records/{json.loads((log / 'log.json').read_text())['weights']}" in output
    assert log.stat().st_mode & 0o777 == 0o700


def test_a_network_that_cannot_be_recorded_by_sample_is_one_message(tmp_path: Path) -> None:
    file = described(tmp_path, "small_cnn", width=2)

    output = run(file, "--out", tmp_path / "out", "--record", tmp_path / "log", expect=1)

    assert "use group norm" in output and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--record-by", "sample", "--record-as", "step"), "no sum over its samples"),
        (("--record-share", "0"), "a fraction above 0"),
        (("--record-layers", "0"), "at least one layer"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_the_training(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    file = described(tmp_path, in_features=64, hidden=8)

    output = run(file, "--out", tmp_path / "out", "--record", tmp_path / "log", *options, expect=1)

    assert message in output and not (tmp_path / "log").exists()


def test_a_killed_training_goes_on_to_a_log_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    file = described(tmp_path, in_features=64, hidden=300)
    asked = [
        file,
        "--checkpoint",
        tmp_path / "checkpoint",
        "--checkpoint-seconds",
        "0.1",
        "--record-share",
        "0.05",
    ]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    arguments = [*asked, "--out", tmp_path / "out", "--record", killed]
    process = subprocess.Popen(
        [sys.executable, "-m", "lethe.train", *map(str, arguments)],
        env=environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL,
    )
    while not (tmp_path / "checkpoint").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = json.loads((killed / "log.json").read_text())["state"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    resumed = run(*arguments)
    run(*asked, "--out", tmp_path / "other", "--record", whole)
    torch.set_num_threads(threads)

    weights = json.loads((whole / "log.json").read_text())["weights"]
    everybody = open_digits().manifest.positions("train")
    sums = [opened(folder, weights).sum_of(everybody[:20], "sample").sums for folder in (killed, whole)]
    assert state == "recording" and "resumed after step" in resumed
    assert (tmp_path / "out").read_bytes() == (tmp_path / "other").read_bytes()
    assert all(torch.equal(sums[0][name], sums[1][name]) for name in sums[0])
