"""What a campaign does to a cluster: one function a fault, each with its weight in the draw.

A fault strikes and returns what it killed: process ids whose jobs must come back, none if nothing was killed.
"""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import redis
from sqlalchemy import Connection, create_engine, text

from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.dooms import STEPS, Dooms
from service.core.queue import doorbell
from workers.app import create_app
from workers.settings import WorkerSettings

DOOM_PATIENCE_SECONDS = 4.0
DISK_FULL_SECONDS = 1.0
BROKER_PAUSE_MS = 2000
ECHOES = 5

Strike = Callable[[Cluster, Random], list[int]]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: of it.
        weight: how often it is drawn, among all.
        strike: does it.
    """

    name: str
    weight: float
    strike: Strike


def at_step(step: str, deed: str = "kill") -> Strike:
    """Return what dooms the next worker that reaches a step, and waits until it is dead, or stands still."""

    def strike(cluster: Cluster, random: Random) -> list[int]:
        dooms = Dooms(cluster.dooms_folder)
        before = len(dooms.struck())
        dooms.appoint(step, deed)
        give_up_at = time.monotonic() + DOOM_PATIENCE_SECONDS
        while not (struck := dooms.struck()[before:]) and time.monotonic() < give_up_at:
            time.sleep(0.02)
        dooms.cancel()
        if deed == "pause":
            for each in struck:
                threading.Timer(2.5 * cluster.lease_seconds, _wake, (each.pid,)).start()
            return []
        return [each.pid for each in struck]

    return strike


def kill_engine(cluster: Cluster, random: Random) -> list[int]:
    """Kill a worker's child, as the kernel does for want of memory."""
    for child in cluster.children(random.choice(cluster.workers)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return []


def kill_worker(cluster: Cluster, random: Random) -> list[int]:
    """Kill a worker wherever it is."""
    name = random.choice(cluster.workers)
    pid = cluster.pid(name)
    cluster.kill(name)
    return [pid]


def kill_relay(cluster: Cluster, random: Random) -> list[int]:
    """Kill a relay."""
    cluster.kill(random.choice(cluster.relays))
    return []


def kill_api(cluster: Cluster, random: Random) -> list[int]:
    """Kill the API."""
    cluster.kill("api")
    return []


def kill_broker(cluster: Cluster, random: Random) -> list[int]:
    """Kill the broker; it comes back with what it had written."""
    cluster.kill("valkey")
    return []


def kill_database(cluster: Cluster, random: Random) -> list[int]:
    """Kill PostgreSQL's first process; it recovers from its log."""
    cluster.kill("postgres")
    return []


def empty_broker(cluster: Cluster, random: Random) -> list[int]:
    """Drop every message."""
    with _broker(cluster) as broker:
        broker.flushall()
    return []


def delay_broker(cluster: Cluster, random: Random) -> list[int]:
    """Delay every message."""
    with _broker(cluster) as broker:
        broker.client_pause(BROKER_PAUSE_MS)
    return []


def double_messages(cluster: Cluster, random: Random) -> list[int]:
    """Ring several times for every job of late, those long done among them."""
    with _connected(cluster) as connection:
        ids = [
            str(row.id)
            for row in connection.execute(text("SELECT id FROM jobs ORDER BY position DESC LIMIT 20"))
        ]
    settings = WorkerSettings(
        broker_url=cluster.valkey.url(), database_url=cluster.database_url, data_dir=cluster.folder
    )
    app = create_app(settings)
    for job_id in ids * ECHOES:
        app.send_task(doorbell.TASK_NAME, args=[job_id], retry=False)
    app.close()
    return []


def cut_connections(cluster: Cluster, random: Random) -> list[int]:
    """Cut every connection to the database."""
    with _connected(cluster) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database()"
            )
        )
    return []


def fill_disk(cluster: Cluster, random: Random) -> list[int]:
    """Let no engine write a file of more than a few bytes for a moment."""
    engines = [child for name in cluster.workers for child in cluster.children(name)]
    _limit(engines, 100)
    time.sleep(DISK_FULL_SECONDS)
    _limit(engines, resource.RLIM_INFINITY)
    return []


FAULTS = (
    *(Fault(f"killed when {step}", 6.0, at_step(step)) for step in STEPS),
    *(
        Fault(f"paused when {step}", 0.5, at_step(step, "pause"))
        for step in ("unlearned", "audited", "staged")
    ),
    Fault("worker killed anywhere", 6.0, kill_worker),
    Fault("engine killed", 4.0, kill_engine),
    Fault("relay killed", 2.0, kill_relay),
    Fault("API killed", 2.0, kill_api),
    Fault("broker killed", 1.5, kill_broker),
    Fault("broker emptied", 1.5, empty_broker),
    Fault("messages delayed", 1.0, delay_broker),
    Fault("messages doubled", 1.5, double_messages),
    Fault("database killed", 1.0, kill_database),
    Fault("connections cut", 1.5, cut_connections),
    Fault("disk full", 1.0, fill_disk),
)


def _wake(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _limit(pids: list[int], num_bytes: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (num_bytes, resource.RLIM_INFINITY))


@contextlib.contextmanager
def _broker(cluster: Cluster) -> "Iterator[redis.Redis[bytes]]":
    broker = redis.Redis.from_url(cluster.valkey.url(), socket_timeout=5.0)
    try:
        yield broker
    finally:
        broker.close()


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Iterator[Connection]:
    engine = create_engine(cluster.database_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
