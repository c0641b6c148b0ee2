"""News of publications: one LISTEN connection a process wakes whoever waits for a model's next version.

A wake is a hint and may come for nothing or not at all; the waiter looks the truth up. While the connection
is lost nobody is told anything, so its return wakes everyone, and waiters look by themselves now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from service.core import logging
from service.core.queue import doorbell

RECONNECT_SECONDS = (0.2, 1.0, 5.0)
"""Pauses between attempts to connect; the last one repeats."""

KEEPALIVES = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A connection whose other end vanished is noticed within half a minute."""

log = logging.get(__name__)


class Publications:
    """The bells of those who wait, by model.

    Args:
        conninfo: psycopg connection string.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = make_conninfo(conninfo, **KEEPALIVES)
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Publications"]:
        """Listen in the background until the block ends."""
        listener = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

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

    async def _listen(self) -> None:
        num_failures = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    await connection.execute(
                        sql.SQL("LISTEN {}").format(sql.Identifier(doorbell.PUBLISHED_CHANNEL))
                    )
                    num_failures = 0
                    self._wake_all()
                    async for notice in connection.notifies():
                        self._wake(notice.payload)
            except psycopg.Error as error:
                log.warning("listen_connection_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS[min(num_failures, len(RECONNECT_SECONDS) - 1)])
            num_failures += 1

    def _wake(self, model: str) -> None:
        for event in self._bells.get(model, ()):
            event.set()

    def _wake_all(self) -> None:
        for model in self._bells:
            self._wake(model)
