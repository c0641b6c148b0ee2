"""A value that is read at most once in a while, however many ask for it at once."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Fresh(Generic[Value]):
    """Keeps what was read until it is too old; while one reads, the others wait for what it finds.

    An error is raised to whoever read, and nothing is kept of it.

    Args:
        read: Reads the value.
        seconds: How old it may become.
    """

    def __init__(self, read: Callable[[], Value], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: tuple[float, Value] | None = None

    def get(self) -> Value:
        """Return the value, read now or a moment ago."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._seconds:
                self._kept = None
                self._kept = (time.monotonic(), self._read())
            return self._kept[1]
