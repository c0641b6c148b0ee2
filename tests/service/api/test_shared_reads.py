"""Joined reads: one for all who wait, never an old one."""

import asyncio

from service.api.shared_reads import SharedReads
from service.core import errors


class Source:
    """A slow value that counts how often it is read."""

    def __init__(self) -> None:
        self.num_reads = 0
        self.value = 1
        self.may_end = asyncio.Event()

    async def read(self, key: str) -> int:
        """Return the value as it was when the read began."""
        self.num_reads += 1
        seen = self.value
        await self.may_end.wait()
        if seen < 0:
            raise errors.NotFound("gone")
        return seen


def test_a_crowd_costs_two_reads_at_most():
    async def scene() -> tuple[list[int], int]:
        source = Source()
        reads = SharedReads(source.read)
        first = asyncio.create_task(reads.get("m"))
        await asyncio.sleep(0.01)
        crowd = [asyncio.create_task(reads.get("m")) for _ in range(100)]
        await asyncio.sleep(0.01)
        source.may_end.set()
        return [await first, *(await asyncio.gather(*crowd))], source.num_reads

    values, num_reads = asyncio.run(scene())

    assert set(values) == {1}
    assert num_reads == 2


def test_nobody_gets_what_was_read_before_it_asked():
    async def scene() -> tuple[int, int]:
        source = Source()
        reads = SharedReads(source.read)
        early = asyncio.create_task(reads.get("m"))
        await asyncio.sleep(0.01)
        source.value = 2
        late = asyncio.create_task(reads.get("m"))
        await asyncio.sleep(0.01)
        source.may_end.set()
        return await early, await late

    assert asyncio.run(scene()) == (1, 2)


def test_one_that_hangs_up_does_not_take_the_others_along():
    async def scene() -> int:
        source = Source()
        reads = SharedReads(source.read)
        leaving, staying = asyncio.create_task(reads.get("m")), asyncio.create_task(reads.get("m"))
        await asyncio.sleep(0.01)
        leaving.cancel()
        source.may_end.set()
        return await staying

    assert asyncio.run(scene()) == 1


def test_a_failure_is_told_to_all_and_kept_for_nobody():
    async def scene() -> int:
        source = Source()
        source.may_end.set()
        source.value = -1
        reads = SharedReads(source.read)
        for outcome in await asyncio.gather(reads.get("m"), reads.get("m"), return_exceptions=True):
            assert isinstance(outcome, errors.NotFound)
        source.value = 3
        return await reads.get("m")

    assert asyncio.run(scene()) == 3


def test_keys_do_not_wait_for_each_other():
    async def scene() -> list[int]:
        source = Source()
        reads = SharedReads(source.read)
        waiting = [asyncio.create_task(reads.get(key)) for key in ("a", "b")]
        await asyncio.sleep(0.01)
        num_reads = source.num_reads
        source.may_end.set()
        await asyncio.gather(*waiting)
        return [num_reads]

    assert asyncio.run(scene()) == [2]
