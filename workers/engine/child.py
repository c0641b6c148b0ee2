"""The engine's process as its parent sees it: started with one end of a socket, ended by force, its remains.

What a process used is told to whoever collects it, once. So nobody but this file waits for the child.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

LOOK_SECONDS = 0.01
KIBIBYTE = 1024
"""Unit of `ru_maxrss` on Linux."""


@dataclass(frozen=True)
class Remains:
    """What is known of a child that has ended.

    Attributes:
        exit_status: As `subprocess` has it: negative for the number of the signal that ended it.
        peak_memory_bytes: Most that it ever had in memory.
        was_killed: Whether its parent ended it.
    """

    exit_status: int
    peak_memory_bytes: int
    was_killed: bool = False

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended it, if one did."""
        if self.exit_status >= 0:
            return None
        try:
            return signal.Signals(-self.exit_status).name
        except ValueError:  # a real-time signal has no name
            return f"signal {-self.exit_status}"

    @property
    def facts(self) -> dict[str, int | str | None]:
        """What goes into a job's evidence; how it ended says nothing where its parent ended it."""
        memory: dict[str, int | str | None] = {"peak_memory_bytes": self.peak_memory_bytes}
        if self.was_killed:
            return memory
        return {"exit_status": self.exit_status, "signal": self.signal, **memory}


class Child:
    """One engine process.

    Attributes:
        line: Our end of its socket.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.engine.server", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.line = Connection(ours.detach())
        self._remains: Remains | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._collect(os.WNOHANG) is None

    def end(self, patience_seconds: float = 0.0) -> Remains:
        """Kill it, if it lives, and return its remains.

        Args:
            patience_seconds: How long to let it end by itself. A process that dies closes its socket a moment
                before its end can be told from a kill.
        """
        self.line.close()
        give_up_at = time.monotonic() + patience_seconds
        while (remains := self._collect(os.WNOHANG)) is None and time.monotonic() < give_up_at:
            time.sleep(LOOK_SECONDS)
        if remains is not None:
            return remains
        os.kill(self.pid, signal.SIGKILL)  # it cannot be another's pid: this process was not collected yet
        remains = self._collect(0, was_killed=True)
        assert remains is not None
        return remains

    def _collect(self, options: int, *, was_killed: bool = False) -> Remains | None:
        """Return the remains once it has ended, and None before; `wait4` tells them a single time."""
        if self._remains is None:
            pid, status, used = os.wait4(self.pid, options)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                # An end that came by itself in the moment before the kill is told as such.
                was_killed = was_killed and code == -signal.SIGKILL
                self._remains = Remains(code, used.ru_maxrss * KIBIBYTE, was_killed)
                self._process.returncode = code  # `subprocess` need not look for it any more
        return self._remains
