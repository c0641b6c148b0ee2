"""How this process leaves: the moment it is told to stop, whoever waits for news is answered.

The server stops listening and waits for answers in flight; a long poll would be in flight for a minute. The
server tells nobody of the signal before all answers are given, so its handler is wrapped: the signal raises a
flag in the event loop, and then goes on to the server.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Departure:
    """Whether this process was told to stop.

    Attributes:
        is_asked: Whether it was.
    """

    def __init__(self) -> None:
        self.is_asked = False

    @contextmanager
    def watching(self, tell: Callable[[], None]) -> Iterator[None]:
        """Hear the stop signals for the length of a `with` block, if this is the main thread's event loop.

        Args:
            tell: Called in the event loop when the process is told to stop.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

        def leave() -> None:
            self.is_asked = True
            tell()

        def hear(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(leave)
            following = before[signal.Signals(number)]
            if callable(following):
                following(number, frame)

        for number in STOP_SIGNALS:
            if callable(before[number]):  # else nobody handles it, and nothing is to be wrapped
                signal.signal(number, hear)
        try:
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is hear:
                    signal.signal(number, handler)
