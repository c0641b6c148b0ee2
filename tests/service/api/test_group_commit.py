"""Group commit: what waits goes together, nobody waits for company, and nobody suffers for another."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from service.api.group_commit import MAX_GROUP, GroupCommit


class Gate:
    """Commits when it is told to, and notes which groups came."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def commit(self, items: Sequence[int]) -> list[int | Exception]:
        """Answer each item by its tenfold; a negative one fails alone."""
        self.groups.append([*items])
        self.entered.release()
        assert self.open.wait(10)
        return [ValueError("negative") if item < 0 else item * 10 for item in items]


async def entered(gate: Gate) -> None:
    """Wait until a group is under way."""
    assert await asyncio.to_thread(gate.entered.acquire, timeout=10)


def test_who_comes_alone_is_taken_at_once():
    gate = Gate()
    gate.open.set()

    async def run() -> list[int]:
        queue = GroupCommit(gate.commit)
        return [await queue.submit(1), await queue.submit(2)]

    assert asyncio.run(run()) == [10, 20]
    assert gate.groups == [[1], [2]]


def test_what_comes_meanwhile_shares_the_next_commit():
    gate = Gate()

    async def run() -> list[int]:
        queue = GroupCommit(gate.commit)
        calls = [asyncio.create_task(queue.submit(0))]
        await entered(gate)
        calls += [asyncio.create_task(queue.submit(item)) for item in range(1, MAX_GROUP + 3)]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(*calls)

    assert asyncio.run(run()) == [item * 10 for item in range(MAX_GROUP + 3)]
    assert [len(group) for group in gate.groups] == [1, MAX_GROUP, 2]


def test_one_that_fails_fails_alone():
    gate = Gate()
    gate.open.set()

    async def run() -> list[int | BaseException]:
        queue = GroupCommit(gate.commit)
        return await asyncio.gather(*map(queue.submit, (1, -1, 2)), return_exceptions=True)

    first, bad, last = asyncio.run(run())

    assert (first, last) == (10, 20)
    assert isinstance(bad, ValueError)


def test_a_caller_that_hung_up_holds_nobody_up():
    gate = Gate()

    async def run() -> list[int]:
        queue = GroupCommit(gate.commit)
        under_way = asyncio.create_task(queue.submit(1))
        await entered(gate)
        waiting = [asyncio.create_task(queue.submit(item)) for item in (2, 3)]
        await asyncio.sleep(0)
        for gone in (under_way, waiting[0]):
            gone.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        return [await waiting[1], await queue.submit(4)]

    assert asyncio.run(run()) == [30, 40]
    assert gate.groups == [[1], [3], [4]]


def test_a_commit_that_fails_is_everybodys_and_the_next_is_tried():
    failing = True

    def commit(items: Sequence[int]) -> list[int]:
        if failing:
            raise RuntimeError("out")
        return [*items]

    async def run() -> int:
        nonlocal failing
        queue = GroupCommit(commit)
        for outcome in await asyncio.gather(*map(queue.submit, (1, 2)), return_exceptions=True):
            assert isinstance(outcome, RuntimeError)
        failing = False
        return await queue.submit(3)

    assert asyncio.run(run()) == 3


@pytest.mark.parametrize("num_callers", [200])
def test_every_caller_gets_his_own_answer(num_callers: int):
    async def run() -> list[int]:
        queue = GroupCommit(lambda items: [item + 1000 for item in items])
        return await asyncio.gather(*map(queue.submit, range(num_callers)))

    assert asyncio.run(run()) == [number + 1000 for number in range(num_callers)]
