"""How a worker leaves: no more jobs, a while for the one at hand, and then that is given back.

A worker that is told to stop *drains*: it takes no further job and lets the one at hand go on until the
deadline. What is not done by then goes back to the ready jobs at once, without an attempt counted, so that
another worker has it within a second or two and not after a lease. Asked a second time, it does not wait.

`begin` and `hurry` are called by signal handlers, between any two steps of the main thread: they only assign,
take no lock and log nothing.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workers.engine.client import Pulse


class Drained(Exception):
    """The worker must leave now; the job at hand is to be given back."""


class Drain:
    """Whether one worker leaves, and by when its job must be done.

    Args:
        seconds: How long the job at hand may still take once the worker was told to stop.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._ends_at: float | None = None
        self.job_id: uuid.UUID | None = None
        """The job at hand."""

    @property
    def is_asked(self) -> bool:
        """Whether the worker was told to stop."""
        return self._ends_at is not None

    def begin(self) -> None:
        """Tell the worker to stop; tell it again, and it does not wait."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._seconds
        else:
            self.hurry()

    def hurry(self) -> None:
        """Tell the worker to stop at once."""
        self._ends_at = time.monotonic()

    def check(self) -> None:
        """Return while the job at hand may go on.

        Raises:
            Drained: Its time is up.
        """
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise Drained

    @contextmanager
    def working_on(self, job_id: uuid.UUID) -> Iterator[None]:
        """Have a job at hand for the length of a `with` block."""
        self.job_id = job_id
        try:
            yield
        finally:
            self.job_id = None


@dataclass(frozen=True)
class Draining:
    """A pulse that stops when its worker must leave, too.

    Attributes:
        pulse: What else the work hangs on, such as its lease.
        drain: Of the worker.
    """

    pulse: Pulse
    drain: Drain

    def check(self) -> None:
        """Return while the work may go on; raise what ends it otherwise."""
        self.pulse.check()
        self.drain.check()
