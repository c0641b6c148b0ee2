"""Group commit: what arrives while a transaction is under way shares the next one.

A durable commit costs a wait for the disk and a dozen round trips, whatever it holds. So what waits is taken
together: nobody is made to wait for others to come, and whoever comes alone is taken at once. One group is
under way at a time: two at once would each be half as large, and what a group costs is mostly ours. An answer
is given after the commit, and to those who still listen: a caller that hung up holds nobody else up.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from anyio import to_thread

MAX_GROUP = 256
"""How many share a transaction at most: each waits for all of them."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """A queue whose waiting items are committed together, on threads, in the order they came.

    Args:
        commit: Commits items in one transaction and returns their answers in order; an exception among them
            is one item's own. One that it raises is everybody's.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Answer | Exception]]) -> None:
        self._commit = commit
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Return the answer to an item after the commit that holds it.

        Raises:
            Exception: What committing it raised.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if self._writer is None or self._writer.done():
            # A context of its own: a group is nobody's call, and must not log under one caller's id.
            self._writer = loop.create_task(self._write(), context=contextvars.Context())
        return await answer

    async def _write(self) -> None:
        while group := self._next_group():
            try:
                answers = await to_thread.run_sync(self._commit, [item for item, _ in group])
            except Exception as error:
                answers = [error] * len(group)
            for (_, waiter), answer in zip(group, answers, strict=True):
                if waiter.done():  # hung up
                    continue
                if isinstance(answer, Exception):
                    waiter.set_exception(answer)
                else:
                    waiter.set_result(answer)

    def _next_group(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """Take what waits; whoever hung up before his turn is not written."""
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(group) < MAX_GROUP:
            item, waiter = self._waiting.popleft()
            if not waiter.done():
                group.append((item, waiter))
        return group
