"""Child programs: how one is described, started on a leash, awaited and stopped.

A child never outlives its parent. It runs in a session of its own, so that Ctrl-C in a terminal reaches the
parent alone, and on a leash (see `lethe.embedded.leash`), so that a killed parent takes its children with it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lethe.embedded import leash

POLL_SECONDS = 0.02
TAIL_BYTES = 8192


class ProgramError(Exception):
    """A child program could not start, did not become ready, or ended when it should not."""


@dataclass(frozen=True)
class Program:
    """One child program.

    Attributes:
        name: What people call it; also names it in messages.
        kind: Programs of one kind that were started one after another are stopped together; "" for none.
        command: Program and arguments.
        log: File that its standard output and error are appended to.
        environment: Variables added to the parent's.
        prepare: Called before every start.
        tidy: Called after every stop.
        is_ready: Called with the process id until it answers True; must return within a second.
        ready_timeout_seconds: How long it may take to become ready.
        stop_signal: What asks it to stop in good order.
        stop_timeout_seconds: How long it may take to stop before it is killed.
        death_signal: What the kernel sends it when its parent dies.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    kind: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    tidy: Callable[[], None] = lambda: None
    is_ready: Callable[[int], bool] = lambda pid: True
    ready_timeout_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL


class Process(Protocol):
    """What is needed of a process that was started: as of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return how it ended, None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Block until it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, if it lives."""


def launch(program: Program) -> subprocess.Popen[bytes]:
    """Prepare and start a program on its leash; it may not be ready yet.

    Call it from a thread that lives as long as the program should.
    """
    program.prepare()
    with program.log.open("ab") as log:
        return subprocess.Popen(
            leashed(program.command, program.death_signal),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.environment},
            start_new_session=True,
        )


def leashed(command: tuple[str, ...], death_signal: signal.Signals) -> list[str]:
    """Return the command that starts `command` tied to this process."""
    return [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(int(death_signal)), *command]


def wait_ready(program: Program, process: Process) -> None:
    """Block until the program is ready.

    Raises:
        ProgramError: It ended, or took longer than `ready_timeout_seconds`.
    """
    deadline = time.monotonic() + program.ready_timeout_seconds
    while not program.is_ready(process.pid):
        if process.poll() is not None:
            raise ProgramError(
                f"{program.name} ended with status {process.returncode} before it was ready."
                + last_words(program.log)
            )
        if time.monotonic() > deadline:
            raise too_slow(program)
        time.sleep(POLL_SECONDS)


def too_slow(program: Program) -> ProgramError:
    """Return the error of a program that did not become ready in its time."""
    seconds = program.ready_timeout_seconds
    return ProgramError(f"{program.name} was not ready after {seconds:.0f} s." + last_words(program.log))


def stop(program: Program, process: Process) -> None:
    """Stop the program in good order, or kill it when that takes too long; what it started goes with it."""
    stop_together([(program, process)])


def stop_together(running: Sequence[tuple[Program, Process]]) -> None:
    """Stop programs as `stop` does, all asked at the same moment: it takes as long as the slowest."""
    asked_at = time.monotonic()
    for program, process in running:
        if process.poll() is None:
            process.send_signal(program.stop_signal)
    for program, process in running:
        left = asked_at + program.stop_timeout_seconds - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, left))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        program.tidy()


@contextlib.contextmanager
def running(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, ready, for the length of a `with` block."""
    process = launch(program)
    try:
        wait_ready(program, process)
        yield process
    finally:
        stop(program, process)


def await_departure(pid: int, folder: Path, timeout_seconds: float) -> bool:
    """Wait for a program of an earlier parent to end; return whether it is gone.

    Args:
        pid: Its process id, as it noted it. The id may belong to a stranger by now.
        folder: The folder it works in, by which it is told from a stranger.
        timeout_seconds: How long to wait.
    """
    deadline = time.monotonic() + timeout_seconds
    while _works_in(pid, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def last_words(log: Path, num_lines: int = 20) -> str:
    """Return the end of a log, led by a line that names the file, ready to be put behind a message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()[-num_lines:]
    except OSError:
        lines = []
    return "".join(f"\n{line}" for line in [f"The end of {log}:", *(lines or ["(nothing was written)"])])


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return False
