"""Told to stop, a real API process answers those who wait for news at once, and ends."""

import signal
import sys
import threading
import time
from pathlib import Path

import httpx

from lethe.embedded.process import Program, free_port, running
from service.settings import ServiceSettings
from tests.fixtures.api import ADMIN_KEY, AS_ADMIN
from tests.fixtures.processes import environment
from tests.fixtures.registry import ReadyModel

WAIT_SECONDS = 60


def program(settings: ServiceSettings, port: int, folder: Path) -> Program:
    def is_ready(pid: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    return Program(
        name="api",
        command=(sys.executable, "-m", "uvicorn", "service.main:application", "--factory", f"--port={port}"),
        log=folder / "api.log",
        environment=environment(
            LETHE_DATABASE_URL=settings.database_url,
            LETHE_DATA_DIR=str(settings.data_dir),
            LETHE_ADMIN_KEY=ADMIN_KEY,
        ),
        is_ready=is_ready,
    )


def test_a_long_poll_is_answered_when_the_process_is_told_to_stop(
    service_settings: ServiceSettings, digits: ReadyModel, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/models/digits/versions/latest"
    answers: list[int] = []

    def wait(tag: str) -> None:
        asked = {**AS_ADMIN, "If-None-Match": tag}
        patience = WAIT_SECONDS + 10
        answer = httpx.get(f"{url}?wait={WAIT_SECONDS}", headers=asked, timeout=patience, trust_env=False)
        answers.append(answer.status_code)

    with running(program(service_settings, port, tmp_path)) as process:
        tag = httpx.get(url, headers=AS_ADMIN, timeout=30.0, trust_env=False).headers["ETag"]
        waiters = [threading.Thread(target=wait, args=[tag]) for _ in range(5)]
        for waiter in waiters:
            waiter.start()
        time.sleep(1.0)
        told_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(WAIT_SECONDS)
        for waiter in waiters:
            waiter.join()

    assert answers == [304] * 5
    assert status in (0, -signal.SIGTERM)
    assert time.monotonic() - told_at < WAIT_SECONDS / 2
