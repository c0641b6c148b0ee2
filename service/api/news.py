"""The news line: one LISTEN connection a process tells those who remember things what has changed.

What was read may be remembered for as long as every change of it will be heard. A notice comes over the
connection that listens, after the commit it tells of and in the order of commits. While the connection is
lost nothing is heard, and so nothing remembered may be trusted: whoever remembers is told of the loss at
once, and again when the line is open. A connection whose other end vanished without a word is noticed by its
keepalives within half a minute, so who remembers also bounds the age of what he trusts (`Remembered`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from service.core import logging

RECONNECT_SECONDS = (0.2, 1.0, 5.0)
"""Pauses between attempts to connect; the last one repeats."""

KEEPALIVES = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A connection whose other end vanished is noticed within half a minute."""

log = logging.get(__name__)


class Hearer(Protocol):
    """Whoever remembers something and must hear of its changes; called in the event loop, and never waits."""

    def line_opened(self) -> None:
        """Every change committed from here on will be told; what came before may have been missed."""

    def line_lost(self) -> None:
        """Changes are no longer told."""

    def heard(self, subject: str) -> None:
        """Something changed.

        Args:
            subject: Payload of the notice.
        """


class Newsline:
    """The connection that listens, made again whenever it is lost.

    Args:
        conninfo: psycopg connection string.
        hearers: Who hears of which channel.
    """

    def __init__(self, conninfo: str, hearers: Mapping[str, Hearer]) -> None:
        self._conninfo = make_conninfo(conninfo, **KEEPALIVES)
        self._hearers = dict(hearers)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen in the background until the block ends."""
        listener = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def _listen(self) -> None:
        num_failures = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True
                ) as connection:
                    for channel in self._hearers:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    num_failures = 0
                    await self._hear(connection)
            except psycopg.Error as error:
                log.warning("listen_connection_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS[min(num_failures, len(RECONNECT_SECONDS) - 1)])
            num_failures += 1

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        try:
            for hearer in self._hearers.values():
                hearer.line_opened()
            async for notice in connection.notifies():
                self._hearers[notice.channel].heard(notice.payload)
        finally:
            for hearer in self._hearers.values():
                hearer.line_lost()
