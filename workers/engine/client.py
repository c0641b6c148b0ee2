"""The worker's end of the engine: starts the child, calls it, and kills it for time or a lost lease."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

from service.core import logging
from workers.engine import messages
from workers.engine.errors import EngineDied, EngineRefused, EngineTooSlow
from workers.engine.messages import Answer, Asked, Call, Message

Reply = TypeVar("Reply", bound=Message)
OnProgress = Callable[[str, float], None]

POLL_SECONDS = 0.1
log = logging.get(__name__)


class Pulse(Protocol):
    """What a call asks, again and again, while it waits."""

    def check(self) -> None:
        """Return while the work may go on; raise what ends it otherwise."""


class Engine:
    """A long-lived child process that computes.

    The child is started on the first call, and again after it was killed or died.

    Args:
        deadline_seconds: Longest a single call may take.
    """

    def __init__(self, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def call(self, asked: Call, expected: type[Reply], pulse: Pulse, on_progress: OnProgress) -> Reply:
        """Have the child do something and wait for it.

        Args:
            asked: What to do.
            expected: The reply's type.
            pulse: Asked every moment whether to go on; what it raises kills the child and is raised here.
            on_progress: Told the stage and the fraction of it that is done.

        Raises:
            EngineRefused: The child says why it cannot.
            EngineDied: The child died, e.g. for want of memory.
            EngineTooSlow: The deadline passed; the child was killed.
        """
        line = self._connect()
        give_up_at = time.monotonic() + self.deadline_seconds
        try:
            line.send_bytes(Asked(call=asked).model_dump_json().encode())
            while True:
                pulse.check()
                if time.monotonic() > give_up_at:
                    raise EngineTooSlow(
                        f"{asked.call} took over {self.deadline_seconds:g} s. Raise LETHE_DEADLINE_SECONDS."
                    )
                if not line.poll(POLL_SECONDS):
                    continue
                answer = Answer.model_validate_json(line.recv_bytes())
                if answer.progress is not None:
                    on_progress(answer.progress.stage, answer.progress.fraction)
                elif answer.failure is not None:
                    raise EngineRefused(answer.failure)
                else:
                    return expected.model_validate(answer.reply)
        except EngineRefused:
            raise
        except (EOFError, OSError) as error:
            status = self.stop()
            raise EngineDied(f"The engine died during {asked.call} (exit status {status}).") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int | None:
        """Kill the child, if it lives, and return its exit status."""
        process, self._process = self._process, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if process is None:
            return None
        process.kill()
        return process.wait()

    def _connect(self) -> Connection:
        if self._line is not None and self.pid is not None:
            return self._line
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.engine.server", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._line = Connection(ours.detach())
        log.info("engine.started", pid=self._process.pid)
        return self._line


def ignore_progress(stage: str, fraction: float) -> None:
    """Listen to no progress."""


class AlwaysOn:
    """A pulse for calls that no lease bounds."""

    def check(self) -> None:
        """Go on."""


def catalogue(engine: Engine) -> list[dict[str, object]]:
    """Return the descriptions of every method the engine found."""
    asked = messages.Catalogue()
    return engine.call(asked, messages.CatalogueReply, AlwaysOn(), ignore_progress).methods
