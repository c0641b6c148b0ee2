"""Joins concurrent reads of the same thing into one, so that a thousand waiters cost one query.

A caller never gets the result of a read that began before it asked: it joins the next one, which starts when
the running one ends. So at most one read of a key runs and at most one waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReads(Generic[T]):
    """Reads by key, joined.

    Args:
        read: Returns the present value of a key, or raises.
    """

    def __init__(self, read: Callable[[str], Awaitable[T]]) -> None:
        self._read = read
        self._waiting: dict[str, asyncio.Task[T]] = {}
        self._running: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str) -> T:
        """Return a value that was read after this call, or raise what the read raised."""
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.create_task(self._take_turn(key, self._running.get(key)))
            self._waiting[key] = task
        return await asyncio.shield(task)  # one caller that hangs up must not take the others' read along

    async def _take_turn(self, key: str, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait({before})
        task = self._running[key] = self._waiting.pop(key)
        try:
            return await self._read(key)
        finally:
            if self._running.get(key) is task:
                del self._running[key]
