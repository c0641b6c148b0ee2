"""The supervisor under real signals, with small stand-ins for the programs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lethe.embedded.process import Program, ProgramError
from lethe.supervisor import Patience, StopRequested, Supervisor
from tests.fixtures.processes import are_gone, environment, is_alive

SLEEP = "import time; time.sleep(60)"
QUICK = Patience(max_crashes=3, window_seconds=10.0, first_delay_seconds=0.05, max_delay_seconds=0.2)


def program(folder: Path, name: str, script: str = SLEEP, **options: object) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-I", "-c", script),
        log=folder / f"{name}.log",
        **options,
    )


@contextmanager
def signalled(number: signal.Signals, after_seconds: float) -> Iterator[None]:
    """Send this process a signal in a while."""
    timer = threading.Timer(after_seconds, os.kill, (os.getpid(), number))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_children_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    said: list[str] = []
    with pytest.raises(StopRequested), Supervisor(report=said.append) as supervisor:
        supervisor.start(program(tmp_path, "first"))
        supervisor.start(program(tmp_path, "second"))
        pids = supervisor.pids
        with signalled(number, 0.1):
            supervisor.watch()

    assert [line.split()[:2] for line in said] == [
        ["first", "ready"],
        ["second", "ready"],
        ["second", "stopped"],
        ["first", "stopped"],
    ]
    assert not any(is_alive(pid) for pid in pids.values())


def test_signal_during_the_start_stops_what_was_started(tmp_path: Path) -> None:
    began = time.monotonic()
    pids: dict[str, int] = {}

    with pytest.raises(StopRequested), Supervisor() as supervisor:
        supervisor.start(program(tmp_path, "first"))
        pids.update(supervisor.pids)
        with signalled(signal.SIGTERM, 0.1):
            supervisor.start(program(tmp_path, "never ready", is_ready=lambda pid: False))

    assert time.monotonic() - began < 30.0
    assert not is_alive(pids["first"])


def test_signal_handlers_of_the_caller_come_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    with Supervisor():
        assert signal.getsignal(signal.SIGTERM) != before[0]

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_killed_child_is_started_again_and_told_of(tmp_path: Path) -> None:
    changes: list[dict[str, int]] = []
    with pytest.raises(StopRequested), Supervisor(patience=QUICK) as supervisor:
        supervisor.start(program(tmp_path, "worker"), program(tmp_path, "relay"))
        before = supervisor.pids

        def note_and_stop() -> None:
            changes.append(supervisor.pids)
            os.kill(os.getpid(), signal.SIGTERM)

        supervisor.on_change = note_and_stop
        os.kill(before["worker"], signal.SIGKILL)
        supervisor.watch()

    assert len(changes) == 1
    assert changes[0]["worker"] != before["worker"]
    assert changes[0]["relay"] == before["relay"]
    assert not is_alive(changes[0]["worker"])


def test_child_that_keeps_crashing_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    said: list[str] = []
    with (
        pytest.raises(
            ProgramError, match=r"api ended 3 times within 10 s(.|\n)*status 7(.|\n)*port is taken"
        ),
        Supervisor(patience=QUICK, report=said.append) as supervisor,
    ):
        supervisor.start(program(tmp_path, "database"))
        database = supervisor.pids["database"]
        supervisor.start(program(tmp_path, "api", "print('port is taken'); exit(7)"))
        supervisor.watch()

    assert "api ended with status 7; again in 0.1 s" in said
    assert not is_alive(database)


def test_pause_before_a_restart_doubles(tmp_path: Path) -> None:
    patience = Patience(max_crashes=4, window_seconds=10.0, first_delay_seconds=0.1, max_delay_seconds=0.2)
    began = time.monotonic()

    with pytest.raises(ProgramError), Supervisor(patience) as supervisor:
        supervisor.start(program(tmp_path, "api", "exit(1)"))
        supervisor.watch()

    assert time.monotonic() - began >= 0.1 + 0.2 + 0.2


def test_old_crashes_are_forgiven(tmp_path: Path) -> None:
    patience = Patience(max_crashes=2, window_seconds=0.1, first_delay_seconds=0.2, max_delay_seconds=0.2)
    crashes: list[str] = []

    def stop_after_three(line: str) -> None:
        crashes.extend([line] if "ended" in line else [])
        if len(crashes) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopRequested), Supervisor(patience, stop_after_three) as supervisor:
        supervisor.start(program(tmp_path, "api", "exit(1)"))
        supervisor.watch()

    assert crashes == ["api ended with status 1; again in 0.2 s"] * 3


def test_child_that_is_never_ready_is_named(tmp_path: Path) -> None:
    slow = program(tmp_path, "api", is_ready=lambda pid: False, ready_timeout_seconds=0.1)

    with pytest.raises(ProgramError, match="api was not ready"), Supervisor() as supervisor:
        supervisor.start(slow)


def test_programs_started_together_do_not_wait_for_each_other(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    writer = program(tmp_path, "writer", f"open({str(mark)!r}, 'w'); {SLEEP}")
    waiter = program(tmp_path, "waiter", is_ready=lambda pid: mark.exists())

    with Supervisor() as supervisor:
        supervisor.start(waiter, writer)

        assert list(supervisor.pids) == ["waiter", "writer"]


def test_run_once_waits_for_the_end(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.run_once(program(tmp_path, "migrate", "import time; time.sleep(0.1); print('migrated')"))

        assert "migrated" in (tmp_path / "migrate.log").read_text()
        assert supervisor.pids == {}


def test_run_once_that_fails_shows_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ProgramError, match=r"migrate failed with status 1(.|\n)*no such table"),
        Supervisor() as supervisor,
    ):
        supervisor.run_once(program(tmp_path, "migrate", "exit('no such table')"))


def test_killed_supervisor_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from lethe.embedded.process import Program
from lethe.supervisor import Supervisor
command = (sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
with Supervisor() as supervisor:
    logs = [Path({str(tmp_path)!r}) / name for name in ("relay", "worker")]
    supervisor.start(*(Program(log.name, command, log) for log in logs))
    print(*supervisor.pids.values(), flush=True)
    supervisor.watch()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2

    parent.kill()
    parent.wait()

    assert are_gone(pids, within_seconds=10.0)
