"""Polls: 304s a second beside bare routes, and what callers who wait cost while nothing happens."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

from benchmarks.latest import load
from benchmarks.latest.setting import LATEST, Setting, resident_bytes, served

SETTLE_SECONDS = 3.0
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Waiting:
    """What so many callers cost who waited.

    Attributes:
        num_waiting: Callers.
        seconds: How long they were watched.
        transactions: What the database finished meanwhile, less what it does when nobody waits.
        bytes_each: Memory that the API process took for each.
        told_seconds: From the publication's commit until the half, and until the last, was told.
        statuses: What they were answered.
    """

    num_waiting: int
    seconds: float
    transactions: int
    bytes_each: float
    told_seconds: tuple[float, float]
    statuses: dict[int, int]


def rates(setting: Setting, rounds: int, seconds: int) -> dict[str, list[float]]:
    """Return 304s a second of ours and of both bare peers, asked in turn with the same headers."""
    headers = [f"Authorization: {setting.authorization}", f"If-None-Match: {setting.etag()}"]
    bare = "benchmarks.latest.bare"
    with (
        served(setting.folder, "bare-fastapi", f"{bare}:fastapi_application", {}) as (_, fastapi),
        served(setting.folder, "bare-starlette", f"{bare}:starlette_application", {}) as (_, starlette),
    ):
        urls = {"ours": setting.url, "fastapi": fastapi, "starlette": starlette}
        for url in urls.values():
            load.rate(url + LATEST, headers, 1)  # warm
        found: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                found[name].append(load.rate(url + LATEST, headers, seconds))
        return found


def wait(setting: Setting, num_waiting: int, seconds: float) -> Waiting:
    """Have callers wait for a while, then publish and see when they are told."""
    quiet = _transactions_during(setting, seconds)
    head = f"Authorization: {setting.authorization}\r\nIf-None-Match: {setting.etag()}\r\n"
    url = f"{setting.url}{LATEST}?wait={WAIT_SECONDS}"
    before = resident_bytes(setting.api.pid)
    command = [sys.executable, "-m", "benchmarks.latest.load", url, json.dumps(head), str(num_waiting)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiters:
        assert waiters.stdout is not None
        assert waiters.stdout.readline() == "waiting\n", "the callers could not connect"
        time.sleep(SETTLE_SECONDS)
        asked = _transactions_during(setting, seconds)
        memory = resident_bytes(setting.api.pid) - before
        setting.publish(1 << 10)
        published = time.time()
        answers = json.loads(waiters.stdout.readline())
    told = [moment - published for _, moment in answers]
    statuses = [status for status, _ in answers]
    return Waiting(
        num_waiting,
        seconds,
        asked - quiet,
        memory / num_waiting,
        (median(told), max(told)),
        {status: statuses.count(status) for status in set(statuses)},
    )


def _transactions_during(setting: Setting, seconds: float) -> int:
    before = setting.transactions()
    time.sleep(seconds)
    return setting.transactions() - before
