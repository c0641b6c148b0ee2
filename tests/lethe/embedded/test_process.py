"""How child programs are started, awaited and stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.embedded import leash
from lethe.embedded.process import Program, ProgramError, last_words, launch, running, stop, wait_ready
from tests.fixtures.processes import are_gone, is_alive

SLEEP = (sys.executable, "-I", "-S", "-c", "import time; print('here', flush=True); time.sleep(60)")


def program(log: Path, *command: str, **options: object) -> Program:
    return Program(name="sleeper", command=command or SLEEP, log=log / "log", **options)


def says(log: Path, word: str) -> bool:
    return word in (log / "log").read_text()


def test_running_program_is_stopped_at_the_end_of_the_block(tmp_path: Path) -> None:
    with running(program(tmp_path)) as process:
        assert process.poll() is None

    assert process.returncode == -signal.SIGTERM


def test_program_that_ends_before_it_is_ready_shows_its_last_words(tmp_path: Path) -> None:
    dying = program(tmp_path, sys.executable, "-c", "exit('no room on the disk')", is_ready=lambda pid: False)

    with (
        pytest.raises(ProgramError, match=r"status 1 before it was ready(.|\n)*no room on the disk"),
        running(dying),
    ):
        pass


def test_program_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    slow = program(tmp_path, is_ready=lambda pid: False, ready_timeout_seconds=0.1)
    process = launch(slow)

    with pytest.raises(ProgramError, match="sleeper was not ready after 0 s"):
        wait_ready(slow, process)
    stop(slow, process)

    assert not is_alive(process.pid)


def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    absent = program(tmp_path, "/no/such/program", is_ready=lambda pid: False)

    with (
        pytest.raises(ProgramError, match="/no/such/program could not be started: No such file"),
        running(absent),
    ):
        pass


def test_stubborn_program_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    stubborn = program(
        tmp_path,
        sys.executable,
        "-c",
        deaf,
        is_ready=lambda pid: says(tmp_path, "deaf"),
        stop_timeout_seconds=0.1,
    )

    with running(stubborn) as process:
        pass

    assert process.returncode == -signal.SIGKILL


def test_what_a_program_started_goes_with_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    parent = program(tmp_path, sys.executable, "-c", script, is_ready=lambda pid: says(tmp_path, "\n"))

    with running(parent):
        grandchild = int((tmp_path / "log").read_text())
        assert is_alive(grandchild)

    assert are_gone([grandchild], within_seconds=10.0)


def test_leash_starts_nothing_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    stranger = os.getppid()

    done = subprocess.run(
        [sys.executable, "-I", leash.__file__, str(stranger), "9", "touch", str(tmp_path / "mark")],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert f"The parent (pid {stranger}) is gone" in done.stderr
    assert not (tmp_path / "mark").exists()


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    with running(program(tmp_path)) as process:
        assert os.getpgid(process.pid) != os.getpgid(0)


def test_last_words_are_few_and_name_their_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))

    words = last_words(log, num_lines=2)

    assert words == f"\nThe end of {log}:\nline 9998\nline 9999"


def test_last_words_of_a_silent_program_say_so(tmp_path: Path) -> None:
    assert last_words(tmp_path / "absent").endswith("(nothing was written)")
