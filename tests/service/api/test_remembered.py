"""Values that are remembered: only while their changes are heard, and never for long."""

import asyncio

import pytest

from service.api import remembered
from service.api.remembered import Remembered
from service.core import errors


class Source:
    """A value that counts how often it is read, and may be slow."""

    def __init__(self) -> None:
        self.num_reads = 0
        self.value = 1
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self, key: str) -> int:
        """Return the value as it was when the read began."""
        self.num_reads += 1
        seen = self.value
        await self.may_end.wait()
        if seen < 0:
            raise errors.NotFound("gone")
        return seen


def memory_of(source: Source, limit: int = 10) -> Remembered[int]:
    """A memory whose line is open."""
    memory = Remembered(source.read, seconds=5.0, limit=limit)
    memory.line_opened()
    return memory


def test_what_is_remembered_is_read_once():
    async def scene() -> tuple[list[int], int | None, int]:
        source = Source()
        memory = memory_of(source)
        values = [await memory.get("m") for _ in range(100)]
        return values, memory.peek("m"), source.num_reads

    assert asyncio.run(scene()) == ([1] * 100, 1, 1)


def test_nothing_is_remembered_before_the_line_is_open():
    async def scene() -> tuple[int | None, int]:
        source = Source()
        memory = Remembered(source.read, seconds=5.0, limit=10)
        await memory.get("m")
        await memory.get("m")
        return memory.peek("m"), source.num_reads

    assert asyncio.run(scene()) == (None, 2)


def test_a_change_forgets_that_key_only():
    async def scene() -> tuple[int | None, int | None, int]:
        source = Source()
        memory = memory_of(source)
        await memory.get("m")
        await memory.get("other")
        source.value = 2
        memory.heard("m")
        return memory.peek("m"), memory.peek("other"), await memory.get("m")

    assert asyncio.run(scene()) == (None, 1, 2)


def test_a_lost_line_forgets_everything_and_keeps_nothing():
    async def scene() -> tuple[int | None, int | None]:
        source = Source()
        memory = memory_of(source)
        await memory.get("m")
        memory.line_lost()
        lost = memory.peek("m")
        await memory.get("m")
        return lost, memory.peek("m")

    assert asyncio.run(scene()) == (None, None)


@pytest.mark.parametrize("change", ["heard", "line_lost", "line_opened"])
def test_what_was_being_read_while_something_changed_is_not_kept(change: str):
    async def scene() -> tuple[int, int | None, int]:
        source = Source()
        memory = memory_of(source)
        source.may_end.clear()
        early = asyncio.create_task(memory.get("m"))
        await asyncio.sleep(0.01)
        source.value = 2
        memory.heard("m") if change == "heard" else getattr(memory, change)()
        source.may_end.set()
        return await early, memory.peek("m"), await memory.get("m")

    assert asyncio.run(scene()) == (1, None, 2)


def test_who_is_told_of_a_change_sees_it_though_an_older_read_is_under_way():
    async def scene() -> tuple[int, int]:
        source = Source()
        memory = memory_of(source)
        source.may_end.clear()
        early = asyncio.create_task(memory.get("m"))
        await asyncio.sleep(0.01)
        source.value = 2
        memory.heard("m")
        late = asyncio.create_task(memory.get("m"))
        await asyncio.sleep(0.01)
        source.may_end.set()
        return await early, await late

    assert asyncio.run(scene()) == (1, 2)


def test_what_is_too_old_is_read_anew(monkeypatch: pytest.MonkeyPatch):
    async def scene() -> tuple[int | None, int | None]:
        memory = memory_of(Source())
        monkeypatch.setattr(remembered, "monotonic", lambda: 100.0)
        await memory.get("m")
        monkeypatch.setattr(remembered, "monotonic", lambda: 104.9)
        young = memory.peek("m")
        monkeypatch.setattr(remembered, "monotonic", lambda: 105.0)
        return young, memory.peek("m")

    assert asyncio.run(scene()) == (1, None)


def test_memory_is_bounded_and_the_oldest_goes_first():
    async def scene() -> list[int | None]:
        memory = memory_of(Source(), limit=2)
        for key in ("a", "b", "c"):
            await memory.get(key)
        return [memory.peek(key) for key in ("a", "b", "c")]

    assert asyncio.run(scene()) == [None, 1, 1]


def test_a_failure_is_not_remembered():
    async def scene() -> int:
        source = Source()
        memory = memory_of(source)
        source.value = -1
        with pytest.raises(errors.NotFound):
            await memory.get("m")
        source.value = 3
        return await memory.get("m")

    assert asyncio.run(scene()) == 3
