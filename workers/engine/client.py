"""The worker's end of the engine: starts the child, calls it, and kills it for time or a lost lease."""

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

from service.core import logging, tracing
from workers.engine import deadline, messages
from workers.engine.child import Child, Remains
from workers.engine.errors import EngineDied, EngineRefused, EngineTooSlow
from workers.engine.messages import Answer, Asked, Call, Holdings, Message

Reply = TypeVar("Reply", bound=Message)
OnProgress = Callable[[str, float], None]

POLL_SECONDS = 0.1
DYING_SECONDS = 2.0
"""A child whose line broke is dying, and has this long to do so: then its end tells why."""
log = logging.get(__name__)


class Pulse(Protocol):
    """What a call asks, again and again, while it waits."""

    def check(self) -> None:
        """Return while the work may go on; raise what ends it otherwise."""


class Engine:
    """A long-lived child process that computes.

    The child is started on the first call, and again after it was killed or died.

    Args:
        deadline_seconds: Longest a single call may take, whatever it is about.

    Attributes:
        holdings: What the child said last that it holds; None before its first answer.
    """

    def __init__(self, deadline_seconds: float) -> None:
        self.deadline_seconds = deadline_seconds
        self._child: Child | None = None
        self.holdings: Holdings | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, while it lives."""
        return self._child.pid if self._child is not None and self._child.is_alive else None

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
        with tracing.span(f"engine.{asked.call}"):
            return self._call(asked, expected, pulse, on_progress)

    def _call(self, asked: Call, expected: type[Reply], pulse: Pulse, on_progress: OnProgress) -> Reply:
        line = self._connect()
        model = getattr(asked, "model", None)
        training_seconds = model.training_seconds if model is not None else None
        allowed_seconds = deadline.seconds_for(training_seconds, self.deadline_seconds)
        give_up_at = time.monotonic() + allowed_seconds
        try:
            line.send_bytes(Asked(call=asked, bound=logging.bound()).model_dump_json().encode())
            while True:
                pulse.check()
                if time.monotonic() > give_up_at:
                    raise self._too_slow(asked, allowed_seconds)
                if not line.poll(POLL_SECONDS):
                    continue
                answer = Answer.model_validate_json(line.recv_bytes())
                self.holdings = answer.holdings or self.holdings
                if answer.progress is not None:
                    on_progress(answer.progress.stage, answer.progress.fraction)
                elif answer.failure is not None:
                    raise EngineRefused(answer.failure)
                else:
                    return expected.model_validate(answer.reply)
        except EngineRefused:
            raise
        except (EOFError, OSError) as error:
            raise EngineDied(asked.call, self.stop(DYING_SECONDS)) from error
        except BaseException:
            self.stop()
            raise

    def stop(self, patience_seconds: float = 0.0) -> Remains | None:
        """Kill the child, if it lives after a while, and return its remains; None if there was none."""
        child, self._child = self._child, None
        self.holdings = None
        return child.end(patience_seconds) if child is not None else None

    def _too_slow(self, asked: Call, allowed_seconds: float) -> EngineTooSlow:
        """Kill the child and return why."""
        why = (
            "Raise LETHE_DEADLINE_SECONDS if it needs longer."
            if allowed_seconds >= self.deadline_seconds
            else "Its model's training takes a small part of that: it hung, or its machine is overloaded."
        )
        return EngineTooSlow(
            f"{asked.call} took over {allowed_seconds:g} s, and the engine was killed. {why}", self.stop()
        )

    def _connect(self) -> Connection:
        if self._child is None or not self._child.is_alive:
            self.stop()
            self._child = Child()
            log.info("engine.started", pid=self._child.pid)
        return self._child.line


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
