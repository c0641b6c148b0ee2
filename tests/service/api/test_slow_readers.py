"""Callers that ask for a file and do not read it hold neither a thread nor a connection to the database."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from service.api import ranges
from service.core.db.session import Sessions, transaction
from service.core.registry import service as registry
from service.core.registry.service import NamedFile
from tests.fixtures.api import ADMIN_KEY, AS_ADMIN
from tests.fixtures.registry import registration

NUM_READERS = 200  # five times the threads there are
SIZE = 8 << 20  # more than the sockets' buffers take
PATH = "/v1/models/digits/versions/1/files/model.safetensors"
PATIENCE_SECONDS = 60.0


@pytest.fixture
def data(live_url: str, app: FastAPI, sessions: Sessions) -> bytes:
    """The bytes of a published file."""
    content = bytes(range(256)) * (SIZE >> 8)
    with transaction(sessions) as session:
        model = registry.register(session, registration("digits"))
        stored = app.state.kernel.store.put(model.space, [content])
        files = [NamedFile("model.safetensors", stored, is_public=True)]
        registry.publish(session, model, base_number=None, files=files, guarantee=None, run_id=None, facts={})
    return content


@contextmanager
def stalled(url: str, num_readers: int) -> Iterator[list[socket.socket]]:
    """Callers that read the first bytes of a file and then nothing."""
    parts = urlsplit(url)
    ask = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n".encode()
    with ExitStack() as stack:
        readers = []
        for _ in range(num_readers):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(PATIENCE_SECONDS)
            reader.connect((parts.hostname, parts.port))
            reader.sendall(ask)
            readers.append(reader)
        for reader in readers:
            assert reader.recv(15) == b"HTTP/1.1 200 OK"
        yield readers


@pytest.mark.parametrize("no_wait", [ranges.NO_WAIT, None])
def test_others_are_served_while_many_stall(
    live_url: str, app: FastAPI, data: bytes, monkeypatch: pytest.MonkeyPatch, no_wait: int | None
):
    monkeypatch.setattr(ranges, "NO_WAIT", no_wait)
    with stalled(live_url, NUM_READERS):
        listed = httpx.get(f"{live_url}/v1/models", headers=AS_ADMIN, timeout=PATIENCE_SECONDS)
        pulled = httpx.get(live_url + PATH, headers=AS_ADMIN, timeout=PATIENCE_SECONDS)

        assert listed.status_code == 200 and pulled.content == data
        assert app.state.kernel.engine.pool.checkedout() == 0


def test_a_caller_that_hangs_up_closes_the_file(live_url: str, data: bytes, monkeypatch: pytest.MonkeyPatch):
    closed = []
    close = ranges.os.close
    monkeypatch.setattr(ranges.os, "close", lambda handle: (closed.append(handle), close(handle)))
    with stalled(live_url, 3):
        assert not closed

    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while len(closed) < 3 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert len(closed) == 3
