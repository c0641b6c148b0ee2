"""News of publications reach those who wait, also after the connection was lost."""

import asyncio

from sqlalchemy import Engine, func, select, text

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


def test_news_wake_those_who_wait_for_that_model_only(database_url: str, engine: Engine):
    async def scene() -> bool:
        publications = Publications(conninfo(database_url))
        with publications.bell("digits") as bell, publications.bell("faces") as other:
            async with publications.listening():
                await heard(bell)  # the connection is made
                other.clear()
                await asyncio.to_thread(tell, engine, "digits")
                await heard(bell)
                return other.is_set()

    assert asyncio.run(scene()) is False


def test_a_lost_connection_comes_back_and_wakes_everyone(database_url: str, engine: Engine):
    async def scene() -> None:
        publications = Publications(conninfo(database_url))
        with publications.bell("digits") as bell:
            async with publications.listening():
                await heard(bell)
                with engine.begin() as connection:
                    for pid in connection.scalars(LISTENERS).all():
                        connection.execute(select(func.pg_terminate_backend(pid)))
                await heard(bell)  # it is back
                await asyncio.to_thread(tell, engine, "digits")
                await heard(bell)

    asyncio.run(scene())


def test_a_process_listens_on_one_connection_however_many_wait(database_url: str, engine: Engine):
    async def scene() -> int:
        publications = Publications(conninfo(database_url))
        bells = [publications.bell(f"model-{index}") for index in range(50)]
        events = [bell.__enter__() for bell in bells]
        async with publications.listening():
            await asyncio.gather(*(heard(event) for event in events))
            num_listeners = len(await asyncio.to_thread(listeners, engine))
        for bell in bells:
            bell.__exit__(None, None, None)
        return num_listeners

    assert asyncio.run(scene()) == 1


def test_a_database_that_is_out_does_not_stop_the_process():
    async def scene() -> bool:
        publications = Publications("postgresql://postgres@127.0.0.1:1/lethe")
        with publications.bell("digits") as bell:
            async with publications.listening():
                await asyncio.sleep(0.3)
                return bell.is_set()

    assert asyncio.run(scene()) is False
