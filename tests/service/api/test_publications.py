"""The news line: what changed reaches those who wait and those who remember, and so does its loss."""

import asyncio

from sqlalchemy import Engine, func, select, text

from service.api.news import Newsline
from service.api.publications import Publications
from service.core.db.engine import conninfo
from service.core.queue import doorbell

PATIENCE_SECONDS = 10.0
LISTENERS = text(
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)


def tell(engine: Engine, model: str) -> None:
    """Say that a model's latest version changed."""
    with engine.begin() as connection:
        connection.execute(select(func.pg_notify(doorbell.PUBLISHED_CHANNEL, model)))


def listeners(engine: Engine) -> list[int]:
    """Process ids of the connections that listen."""
    with engine.begin() as connection:
        return list(connection.scalars(LISTENERS))


async def heard(bell: asyncio.Event) -> None:
    """Wait for a bell, and silence it."""
    await asyncio.wait_for(bell.wait(), PATIENCE_SECONDS)
    bell.clear()


class Memory:
    """One that writes down what it is told, and whether a bell had been rung by then."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def line_opened(self) -> None:
        """Note it."""
        self.told.append("opened")

    def line_lost(self) -> None:
        """Note it."""
        self.told.append("lost")

    def heard(self, subject: str) -> None:
        """Note it."""
        self.told.append(subject)


def line(url: str, publications: Publications) -> Newsline:
    """A line that tells of publications."""
    return Newsline(conninfo(url), {doorbell.PUBLISHED_CHANNEL: publications})


def test_news_wake_those_who_wait_for_that_model_only(database_url: str, engine: Engine):
    async def scene() -> bool:
        publications = Publications(Memory())
        with publications.bell("digits") as bell, publications.bell("faces") as other:
            async with line(database_url, publications).listening():
                await heard(bell)  # the connection is made
                other.clear()
                await asyncio.to_thread(tell, engine, "digits")
                await heard(bell)
                return other.is_set()

    assert asyncio.run(scene()) is False


def test_a_lost_connection_comes_back_and_wakes_everyone(database_url: str, engine: Engine):
    async def scene() -> None:
        publications = Publications(Memory())
        with publications.bell("digits") as bell:
            async with line(database_url, publications).listening():
                await heard(bell)
                with engine.begin() as connection:
                    for pid in connection.scalars(LISTENERS).all():
                        connection.execute(select(func.pg_terminate_backend(pid)))
                await heard(bell)  # it is back
                await asyncio.to_thread(tell, engine, "digits")
                await heard(bell)

    asyncio.run(scene())


def test_memory_is_told_of_everything_and_before_anyone_is_woken(database_url: str, engine: Engine):
    async def scene() -> list[str]:
        memory = Memory()
        publications = Publications(memory)
        with publications.bell("digits") as bell:
            async with line(database_url, publications).listening():
                await heard(bell)
                await asyncio.to_thread(tell, engine, "digits")
                await heard(bell)
                assert memory.told == ["opened", "digits"]
                with engine.begin() as connection:
                    for pid in connection.scalars(LISTENERS).all():
                        connection.execute(select(func.pg_terminate_backend(pid)))
                await heard(bell)
        return memory.told

    assert asyncio.run(scene()) == ["opened", "digits", "lost", "opened", "lost"]


def test_a_process_listens_on_one_connection_however_many_wait(database_url: str, engine: Engine):
    async def scene() -> int:
        publications = Publications(Memory())
        bells = [publications.bell(f"model-{index}") for index in range(50)]
        events = [bell.__enter__() for bell in bells]
        async with line(database_url, publications).listening():
            await asyncio.gather(*(heard(event) for event in events))
            num_listeners = len(await asyncio.to_thread(listeners, engine))
        for bell in bells:
            bell.__exit__(None, None, None)
        return num_listeners

    assert asyncio.run(scene()) == 1


def test_a_database_that_is_out_does_not_stop_the_process():
    async def scene() -> bool:
        publications = Publications(Memory())
        with publications.bell("digits") as bell:
            async with line("postgresql://postgres@127.0.0.1:1/lethe", publications).listening():
                await asyncio.sleep(0.3)
                return bell.is_set()

    assert asyncio.run(scene()) is False
