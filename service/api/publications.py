"""News of publications: whoever waits for a model's next version is woken when it may be there.

A wake is a hint and may come for nothing or not at all; the waiter looks the truth up. While the news line is
lost nobody is told anything, so its return wakes everyone, and waiters look by themselves now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.api.news import Hearer


class Publications:
    """The bells of those who wait, by model.

    Args:
        memory: Told of each piece of news first, so that who is woken is not answered from what was before.
    """

    def __init__(self, memory: Hearer) -> None:
        self._memory = memory
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def bell(self, model: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the model's latest version may have changed."""
        event = asyncio.Event()
        self._bells[model].add(event)
        try:
            yield event
        finally:
            self._bells[model].discard(event)
            if not self._bells[model]:
                del self._bells[model]

    def heard(self, subject: str) -> None:
        """Wake those who wait for a model."""
        self._memory.heard(subject)
        self._ring(subject)

    def wake_all(self) -> None:
        """Have everyone who waits look for himself."""
        for model in self._bells:
            self._ring(model)

    def line_opened(self) -> None:
        """Wake everyone: what was published while nothing was heard nobody was told of."""
        self._memory.line_opened()
        self.wake_all()

    def line_lost(self) -> None:
        """Let those who wait look by themselves."""
        self._memory.line_lost()

    def _ring(self, model: str) -> None:
        for event in self._bells.get(model, ()):
            event.set()
