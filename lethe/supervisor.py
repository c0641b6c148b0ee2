"""Keeps child programs alive: starts them in order, restarts what crashes, stops them in reverse.

One thread, one loop. A signal only raises a flag; the loop sees it at its next step, so a stop is as orderly
during the start as after it. What the supervisor cannot do any more because it was killed, the leash does.
"""

import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import NoReturn

from lethe.embedded.process import Program, ProgramError, last_words, launch, stop, stop_together, too_slow

STEP_SECONDS = 0.05
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequested(Exception):
    """Someone asked the supervisor to stop, by SIGTERM or SIGINT."""


@dataclass(frozen=True)
class Patience:
    """How crashes are borne.

    Attributes:
        max_crashes: So many crashes of one program within the window are too many.
        window_seconds: Older crashes are forgiven.
        first_delay_seconds: Pause before the first restart; doubles with each crash in the window.
        max_delay_seconds: Longest pause.
    """

    max_crashes: int = 5
    window_seconds: float = 60.0
    first_delay_seconds: float = 0.5
    max_delay_seconds: float = 8.0


@dataclass
class Child:
    """A program under care: its process, or the moment of its next start."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    restart_at: float = 0.0
    crashes: deque[float] = field(default_factory=deque)


class Supervisor:
    """Starts, watches and stops programs for the length of a `with` block, from the main thread.

    Args:
        patience: How crashes are borne.
        report: Told in one line what happened.

    Attributes:
        on_change: Called when a child runs under a new process id.
    """

    def __init__(
        self,
        patience: Patience = Patience(),
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._patience = patience
        self._report = report
        self.on_change: Callable[[], None] = lambda: None
        self._children: list[Child] = []
        self._stop_requested = False
        self._leaving = contextlib.ExitStack()

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each living child by name."""
        return {child.program.name: child.process.pid for child in self._children if child.process}

    def start(self, *programs: Program) -> None:
        """Start programs side by side and return when all are ready.

        Raises:
            StopRequested: A signal came first.
            ProgramError: One crashed too often or took too long; the end of its log is in the message.
        """
        began = time.monotonic()
        waiting = [Child(program) for program in programs]
        self._children += waiting
        while waiting:
            self._step()
            for child in [child for child in waiting if _is_ready(child)]:
                waiting.remove(child)
                self._report(f"{child.program.name} ready after {time.monotonic() - began:.1f} s")
            for child in waiting:
                if time.monotonic() - began > child.program.ready_timeout_seconds:
                    raise too_slow(child.program)

    def run_once(self, program: Program) -> None:
        """Run a program to its end while the others are watched.

        Raises:
            StopRequested: A signal came first.
            ProgramError: It ended with another status than 0; the end of its log is in the message.
        """
        began = time.monotonic()
        process = launch(program)
        try:
            while process.poll() is None:
                self._step()
        finally:
            stop(program, process)
        if process.returncode != 0:
            raise ProgramError(
                f"{program.name} failed with status {process.returncode}." + last_words(program.log)
            )
        self._report(f"{program.name} done after {time.monotonic() - began:.1f} s")

    def watch(self) -> NoReturn:
        """Keep the programs alive until someone asks to stop.

        Raises:
            StopRequested: A signal came; this is the way out.
            ProgramError: A program crashed too often.
        """
        while True:
            self._step()

    def stop(self) -> None:
        """Stop every child, last started first; those of a kind that follow one another together."""
        while self._children:
            leaving = [self._children.pop()]
            while self._children and leaving[0].program.kind and _is_alike(self._children[-1], leaving[0]):
                leaving.append(self._children.pop())
            began = time.monotonic()
            stop_together([(child.program, child.process) for child in leaving if child.process is not None])
            for child in leaving:
                if child.process is not None:
                    self._report(f"{child.program.name} stopped after {time.monotonic() - began:.1f} s")

    def _step(self) -> None:
        """Look after every child once, then rest a moment."""
        if self._stop_requested:
            raise StopRequested
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._bear_crash(child, child.process, now)
            if child.process is None and now >= child.restart_at:
                child.process = launch(child.program)
                self.on_change()
        time.sleep(STEP_SECONDS)

    def _bear_crash(self, child: Child, process: subprocess.Popen[bytes], now: float) -> None:
        """Clear up after a child that ended, and set the moment of its restart."""
        program, patience = child.program, self._patience
        stop(program, process)
        child.process = None
        child.crashes.append(now)
        while child.crashes[0] < now - patience.window_seconds:
            child.crashes.popleft()
        if len(child.crashes) >= patience.max_crashes:
            raise ProgramError(
                f"{program.name} ended {len(child.crashes)} times within {patience.window_seconds:.0f} s, "
                f"lastly with status {process.returncode}; it is not started again." + last_words(program.log)
            )
        delay = min(patience.first_delay_seconds * 2 ** (len(child.crashes) - 1), patience.max_delay_seconds)
        child.restart_at = now + delay
        self._report(f"{program.name} ended with status {process.returncode}; again in {delay:.1f} s")

    def _request_stop(self, signal_number: int, frame: FrameType | None) -> None:
        self._stop_requested = True

    def __enter__(self) -> "Supervisor":
        for number in STOP_SIGNALS:
            self._leaving.callback(signal.signal, number, signal.signal(number, self._request_stop))
        self._leaving.callback(self.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()


def _is_alike(one: Child, other: Child) -> bool:
    return one.program.kind == other.program.kind


def _is_ready(child: Child) -> bool:
    return child.process is not None and child.program.is_ready(child.process.pid)
