"""Forks workers from a process that has imported all they need: `python -m benchmarks.chaos.nursery SOCKET`.

A campaign kills a thousand workers, and what it is about is their work, not the import of torch, which takes
far longer. A worker forked here is one of its own in everything else: session, log, environment, engine. Its
first engine is forked from it before it has threads; any later one is started anew, as the product does.

The nursery itself computes nothing and has a single thread, so that its children start clean.
"""

import contextlib
import importlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.chaos import doomed
from workers.engine import child, server

PRELOADED = ("torch._dynamo", "torchvision.models", "sklearn.datasets")
"""What a worker imports when it first needs it."""


class Forked:
    """A forked process, to be handled as a `subprocess.Popen` is.

    Args:
        pid: Its process id; it is somebody else's child.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def poll(self) -> int | None:
        """Return None while it lives; how it ended only its parent knows."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Block until it has ended.

        Raises:
            subprocess.TimeoutExpired: It has not.
        """
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """SIGKILL it."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self._handle is not None and select.select([self._handle], [], [], timeout)[0]:
            os.close(self._handle)
            self._handle = None
        self.returncode = 0 if self._handle is None else None
        return self.returncode


class Nursery:
    """Asks a running nursery for workers.

    Args:
        address: Path of its socket.
    """

    def __init__(self, address: Path) -> None:
        self._address = address
        self._line: Connection | None = None

    def answers(self, pid: int) -> bool:
        """Whether it has imported everything; once it has, it is listened to."""
        if self._line is None:
            with contextlib.suppress(OSError):
                self._line = Client(str(self._address))
        return self._line is not None

    def fork(self, log: Path, environment: Mapping[str, str]) -> Forked:
        """Start a worker."""
        assert self._line is not None
        self._line.send((str(log), dict(environment)))
        return Forked(self._line.recv())


def main(address: str) -> None:
    """Fork a worker for each word on the line, until its other end goes away."""
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    with Listener(address) as listener, listener.accept() as line:
        nursery_pid = os.getpid()
        with contextlib.suppress(EOFError):
            while True:
                log, environment = line.recv()
                pid = os.fork()
                if pid == 0:
                    _be_worker(nursery_pid, log, environment)
                line.send(pid)


def _be_worker(nursery_pid: int, log: str, environment: Mapping[str, str]) -> None:
    """Become a worker in a session of its own; does not return."""
    try:
        os.setsid()
        server.die_with(nursery_pid)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for stream in (1, 2):
            os.dup2(told, stream)
        os.closerange(3, 64)
        os.environ.update(environment)
        setattr(child, "subprocess", SimpleNamespace(Popen=_engine, DEVNULL=subprocess.DEVNULL))  # noqa: B010
        doomed.main()
    finally:
        os._exit(0)


def _engine(command: Sequence[str], **how: Any) -> Any:
    """Fork the engine that a command names, or start it anew where threads forbid a fork."""
    if threading.active_count() > 1:
        return subprocess.Popen(command, **how)
    worker_pid, [line] = os.getpid(), how["pass_fds"]
    pid = os.fork()
    if pid:
        return SimpleNamespace(pid=pid, returncode=None)
    try:
        for first, last in ((3, line), (line + 1, 64)):
            os.closerange(first, last)
        server.main(line, worker_pid)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
