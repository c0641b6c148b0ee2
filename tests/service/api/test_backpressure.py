"""Intake over its bounds is refused at once; a pool without a connection to spare is told, not waited for."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.exceptions import HTTPException
from sqlalchemy import text
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.backpressure import Backpressure
from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import ADMIN_KEY, AS_ADMIN, NO_DATABASE
from tests.fixtures.registry import ReadyModel

PATH = "/v1/forget-requests"
CLASS = {"model": "digits", "target": {"kind": "class", "classes": [1]}}


@pytest.fixture
def lone_settings(tmp_path: Path) -> ServiceSettings:
    """Settings of a service without a database."""
    return ServiceSettings(database_url=NO_DATABASE, data_dir=tmp_path, admin_key=ADMIN_KEY)


@pytest.fixture
def narrow(service_settings: ServiceSettings) -> Iterator[TestClient]:
    """A service that has one connection, another for need, and waits for them briefly."""
    few = {"pool_size": 1, "pool_timeout_seconds": 0.3}
    with TestClient(create_app(service_settings.model_copy(update=few)), headers=AS_ADMIN) as client:
        yield client


class Caller:
    """Drives an ASGI application by hand: a call whose body comes in pieces, when the test says so."""

    def __init__(self, app: ASGIApp, path: str = PATH) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        piece = await self.pieces.get()
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])

    async def ends(self, *pieces: bytes) -> int:
        """Send the rest of the body and return the status of the answer."""
        for piece in (*pieces, b""):
            self.pieces.put_nowait(piece)
        await self.task
        return self.status


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body and answer 202, or what reading it raised."""
    try:
        while (await receive())["more_body"]:
            pass
        status = 202
    except HTTPException as error:
        status = error.status_code
    await send({"type": "http.response.start", "status": status, "headers": []})


def guarded(settings: ServiceSettings, **bounds: int) -> Backpressure:
    """A reader behind narrow bounds."""
    return Backpressure(reader, settings.model_copy(update=bounds))


def test_a_call_too_many_is_refused_before_its_body_is_read(lone_settings: ServiceSettings):
    async def run() -> None:
        app = guarded(lone_settings, max_waiting=2)
        first, second = Caller(app), Caller(app, f"{PATH}/batch")
        await asyncio.sleep(0)

        refused = Caller(app)
        await refused.task
        other = Caller(app, "/v1/models")

        assert refused.status == 429
        assert int(refused.headers[b"retry-after"]) > 0
        assert await other.ends() == 202
        assert [await first.ends(), await second.ends()] == [202, 202]
        assert await Caller(app).ends() == 202

    asyncio.run(run())


def test_bodies_too_long_together_are_refused_and_the_first_is_not(lone_settings: ServiceSettings):
    async def run() -> None:
        app = guarded(lone_settings, max_waiting_bytes=1000)
        first = Caller(app)
        first.pieces.put_nowait(b"x" * 900)
        await asyncio.sleep(0.01)

        beside = await Caller(app).ends(b"x" * 200)

        assert beside == 429
        assert await first.ends(b"x" * 900) == 202
        assert await Caller(app).ends(b"x" * 5000) == 202

    asyncio.run(run())


def test_a_caller_that_hung_up_is_no_longer_counted(lone_settings: ServiceSettings):
    async def run() -> None:
        app = guarded(lone_settings, max_waiting=1)
        gone = Caller(app)
        await asyncio.sleep(0)
        gone.task.cancel()
        await asyncio.gather(gone.task, return_exceptions=True)

        assert await Caller(app).ends() == 202

    asyncio.run(run())


def test_a_full_queue_is_told_as_a_problem(narrow: TestClient, digits: ReadyModel):
    middleware = narrow.app.middleware_stack
    while not isinstance(middleware, Backpressure):
        middleware = middleware.app
    middleware._num_bytes = middleware.settings.max_waiting_bytes

    answer = narrow.post(PATH, json=CLASS)

    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_exhausted_pool_is_answered_503_by_every_kind_of_route(narrow: TestClient, digits: ReadyModel):
    kernel = narrow.app.state.kernel
    held = [kernel.engine.connect() for _ in range(2)]  # the pool, and its overflow
    try:
        for connection in held:
            connection.execute(text("SELECT 1"))
        began = time.monotonic()
        answers = [
            narrow.post(PATH, json=CLASS),
            narrow.post(f"{PATH}/batch", json={"requests": [CLASS]}),
            narrow.get(PATH),
            narrow.get("/v1/models"),
            narrow.get("/v1/models/digits/versions/latest"),
        ]
        waited = time.monotonic() - began
    finally:
        for connection in held:
            connection.close()

    assert [answer.status_code for answer in answers] == [503] * len(answers)
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert waited < 30
    assert narrow.post(PATH, json=CLASS).status_code == 202
