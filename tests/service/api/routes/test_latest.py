"""What should be served now: asked cheaply, and waited for without holding anything."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select, text
from starlette.testclient import TestClient

from service.api.routes import latest as route
from service.core.db.session import Sessions, transaction
from service.core.queue import doorbell
from service.core.registry import service as registry
from tests.fixtures.api import AS_ADMIN
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel, registration

PATH = "/v1/models/digits/versions/latest"
SOON_SECONDS = 5.0


def test_the_served_version_is_told_with_its_floor(api: TestClient, digits: ReadyModel):
    answer = api.get(PATH)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["version"], told["revocation_floor"], told["guarantee"]) == (1, 1, None)
    assert [file["name"] for file in told["files"]] == ["model.safetensors"]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["ETag"] == f'"{told["digest"]}-1"'


@pytest.mark.parametrize("sent", ["{etag}", "W/{etag}", '"other", {etag}', "*"])
def test_who_has_it_already_is_told_so(api: TestClient, digits: ReadyModel, sent: str):
    etag = api.get(PATH).headers["ETag"]

    answer = api.get(PATH, headers={"If-None-Match": sent.format(etag=etag)})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == etag


def test_the_tag_changes_with_each_publication(api: TestClient, kernel: Kernel, digits: ReadyModel):
    before = api.get(PATH).headers["ETag"]
    kernel.ask_classes(digits, 1)
    kernel.serve(digits)

    answer = api.get(PATH, headers={"If-None-Match": before}, params={"wait": 5})  # the notice is on its way

    assert answer.status_code == 200
    assert (answer.json()["version"], answer.json()["revocation_floor"]) == (2, 2)


def test_a_model_without_a_version_has_no_latest(api: TestClient, sessions: Sessions):
    with transaction(sessions) as session:
        registry.register(session, registration("digits"))

    answer = api.get(PATH, params={"wait": 5}, headers={"If-None-Match": "*"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_published")


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "x"])
def test_a_wait_that_is_too_long_or_no_number_is_refused(lone_api: TestClient, wait: str):
    assert lone_api.get(PATH, params={"wait": wait}).status_code == 422


def test_a_wait_ends_unchanged_when_its_time_is_over(api: TestClient, digits: ReadyModel):
    etag = api.get(PATH).headers["ETag"]
    began = time.monotonic()

    answer = api.get(PATH, params={"wait": 0.3}, headers={"If-None-Match": etag})

    assert answer.status_code == 304
    assert time.monotonic() - began >= 0.3


def test_a_caller_with_another_tag_does_not_wait(api: TestClient, digits: ReadyModel):
    began = time.monotonic()

    assert api.get(PATH, params={"wait": 60}, headers={"If-None-Match": '"old"'}).status_code == 200
    assert api.get(PATH, params={"wait": 60}).status_code == 200
    assert time.monotonic() - began < SOON_SECONDS


def test_everyone_who_waits_hears_of_a_publication_at_once(
    live_url: str, kernel: Kernel, digits: ReadyModel, engine: Engine
):
    with waiting(live_url, 20) as (answers, began):
        assert num_busy_connections(engine) == 0
        kernel.ask_classes(digits, 1)
        kernel.serve(digits)

    assert [answer.json()["version"] for answer in answers] == [2] * 20
    assert time.monotonic() - began < SOON_SECONDS + 5


def test_more_wait_than_there_are_threads_and_others_are_still_served(
    live_url: str, kernel: Kernel, digits: ReadyModel
):
    with waiting(live_url, 100) as (answers, _):
        asked = time.monotonic()
        assert httpx.get(f"{live_url}/v1/models", headers=AS_ADMIN).status_code == 200
        assert time.monotonic() - asked < SOON_SECONDS
        kernel.ask_classes(digits, 1)
        kernel.serve(digits)

    assert {answer.status_code for answer in answers} == {200}


def test_news_that_got_lost_are_found_by_looking(
    app: FastAPI, live_url: str, kernel: Kernel, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(route, "LOOK_SECONDS", 0.2)
    app.state.kernel.served.seconds = 0.2
    monkeypatch.setattr(doorbell, "PUBLISHED_CHANNEL", "nobody_listens")

    with waiting(live_url, 3) as (answers, _):
        kernel.ask_classes(digits, 1)
        kernel.serve(digits)

    assert [answer.json()["version"] for answer in answers] == [2] * 3


def test_a_publication_while_the_connection_was_lost_is_heard_when_it_is_back(
    live_url: str, kernel: Kernel, digits: ReadyModel, engine: Engine
):
    listening = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    with waiting(live_url, 3) as (answers, _):
        with engine.begin() as connection:
            for pid in connection.scalars(listening).all():
                connection.execute(select(func.pg_terminate_backend(pid)))
        kernel.ask_classes(digits, 1)
        kernel.serve(digits)

    assert [answer.json()["version"] for answer in answers] == [2] * 3


def test_news_of_nothing_leave_those_who_wait_waiting(app: FastAPI, api: TestClient, digits: ReadyModel):
    etag = api.get(PATH).headers["ETag"]
    told = threading.Thread(target=tell_for_nothing, args=(app, 10))
    told.start()

    answer = api.get(PATH, params={"wait": 0.5}, headers={"If-None-Match": etag})

    told.join()
    assert answer.status_code == 304


def tell_for_nothing(app: FastAPI, times: int) -> None:
    """Ring the model's bell though nothing was published."""
    for _ in range(times):
        time.sleep(0.02)
        with app.state.kernel.engine.begin() as connection:
            connection.execute(select(func.pg_notify(doorbell.PUBLISHED_CHANNEL, "digits")))


@contextmanager
def waiting(url: str, num_callers: int) -> Iterator[tuple[list[httpx.Response], float]]:
    """Have callers wait for the next version; their answers are there when the block has ended."""
    answers: list[httpx.Response] = []
    etag = httpx.get(url + PATH, headers=AS_ADMIN).headers["ETag"]

    async def wait_all() -> None:
        limits = httpx.Limits(max_connections=num_callers)
        async with httpx.AsyncClient(
            headers={**AS_ADMIN, "If-None-Match": etag}, timeout=60, limits=limits
        ) as client:
            calls = [client.get(url + PATH, params={"wait": 30}) for _ in range(num_callers)]
            answers.extend(await asyncio.gather(*calls))

    thread = threading.Thread(target=lambda: asyncio.run(wait_all()))
    thread.start()
    time.sleep(1.0)  # long enough for all to be waiting
    assert thread.is_alive()
    yield answers, time.monotonic()
    thread.join()


def num_busy_connections(engine: Engine) -> int:
    """Connections to the database that are inside a transaction, but for the one that asks."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state <> 'idle' AND pid <> pg_backend_pid()"
    )
    with engine.begin() as connection:
        return int(connection.scalar(query) or 0)
