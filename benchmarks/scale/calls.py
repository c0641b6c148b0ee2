"""What calls and runs cost a running Lethe in CPU time, and how many messages a job takes.

One API, one relay, one worker, with servers of their own, as a fault campaign runs them, but unharmed. CPU
time is read from /proc: of a process and, for PostgreSQL, of all its sessions.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import redis
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from benchmarks.chaos.campaign import NOT_AT_REST
from benchmarks.chaos.cluster import ADMIN_KEY, CODE_ROOT, Cluster
from benchmarks.chaos.dooms import Dooms
from benchmarks.chaos.traffic import register, sample_ids
from benchmarks.scale.figures import Figure
from lethe.client.records import samples_target

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS = 240.0


def figures(is_small: bool) -> Iterator[Figure]:
    """Yield CPU time a POST, a poll, a pull and a run, and messages a job."""
    num, num_runs = (100, 3) if is_small else (400, 6)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), lease_seconds=30.0, num_workers=1, num_relays=1)
        Dooms(cluster.dooms_folder).create()
        cluster.open()
        try:
            model = "model"
            register(cluster, [model])
            _rest(cluster)
            cluster.stop("worker-0")
            yield from _of_calls(cluster, model, num)
            yield from _of_runs(cluster, model, num, num_runs)
        finally:
            cluster.close()


def migrate(url: str) -> None:
    """Bring a database to the newest revision."""
    engine = create_engine(url)
    config = Config(CODE_ROOT / "migrations" / "alembic.ini")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()


def _of_calls(cluster: Cluster, model: str, num: int) -> Iterator[Figure]:
    samples = sample_ids()
    with httpx.Client(
        base_url=cluster.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, trust_env=False, timeout=30.0
    ) as client:

        def post(number: int) -> str:
            body = {"model": model, "target": {"kind": "samples", "sample_ids": [samples[number]]}}
            answer = client.post(
                "/v1/forget-requests", json=body, headers={"Idempotency-Key": f"key-{number}"}
            )
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        last = post(0)
        latest = client.get(f"/v1/models/{model}/versions/latest")
        tag, files = latest.headers["ETag"], latest.json()["files"]
        weights = next(each for each in files if each["name"] == "model.safetensors")
        calls: dict[str, Callable[[int], object]] = {
            "livez": lambda _: client.get("/livez"),  # the yardstick: a route that does nothing
            "post": lambda number: post(number + 1),
            "status": lambda _: client.get(f"/v1/forget-requests/{last}").raise_for_status(),
            "latest_304": lambda _: client.get(
                f"/v1/models/{model}/versions/latest", headers={"If-None-Match": tag}
            ),
            "pull": lambda _: client.get(weights["url"]).raise_for_status(),
        }
        print(f"\nCPU milliseconds of {num} calls each, one after the other, of one client")
        for name, call in calls.items():
            api, database = _cpu(cluster.pid("api")), _cpu_of_tree(cluster.pid("postgres"))
            for number in range(num):
                call(number)
            own = 1000 * (_cpu(cluster.pid("api")) - api) / num
            its = 1000 * (_cpu_of_tree(cluster.pid("postgres")) - database) / num
            print(f"  {name:<12} API {own:6.2f}   database {its:6.2f}")
            yield Figure(f"{name}_api_cpu_ms", [own], "ms")
            yield Figure(f"{name}_database_cpu_ms", [its], "ms")


def _of_runs(cluster: Cluster, model: str, num_waiting: int, num: int) -> Iterator[Figure]:
    """Serve what waits in one run, then so many requests in a run each."""
    cluster.start("worker-0")
    _rest(cluster)
    worker = cluster.pid("worker-0")
    samples = sample_ids()
    with create_engine(cluster.database_url).connect() as connection:
        served = connection.scalar(text("SELECT count(*) FROM certificates"))
    print(f"\n{served} requests were served by the run that found them waiting, of {num_waiting + 1}")
    before = (_cpu(worker), _cpu(cluster.pid("relay-0")), _cpu_of_tree(cluster.pid("postgres")))
    sent, jobs, began = _pushed(cluster), _done(cluster), time.monotonic()
    for number in range(num):
        cluster.client.forget(model, samples_target([samples[-1 - number]]))
        _rest(cluster)
    seconds = time.monotonic() - began
    after = (_cpu(worker), _cpu(cluster.pid("relay-0")), _cpu_of_tree(cluster.pid("postgres")))
    num_jobs = _done(cluster) - jobs
    for name, a, b in zip(("worker", "relay", "database"), before, after, strict=True):
        yield Figure(f"run_{name}_cpu_s", [(b - a) / num], "s")
    yield Figure("run_seconds_of_a_tiny_model", [seconds / num], "s")
    yield Figure("jobs_a_run", [num_jobs / num], "jobs")
    yield Figure("messages_a_job", [(_pushed(cluster) - sent) / max(num_jobs, 1)], "messages")
    began, quiet = time.monotonic(), _cpu(cluster.pid("relay-0"))
    idle = _cpu(worker)
    time.sleep(10)
    elapsed = time.monotonic() - began
    yield Figure("idle_relay_cpu_share", [(_cpu(cluster.pid("relay-0")) - quiet) / elapsed], "cores")
    yield Figure("idle_worker_cpu_share", [(_cpu(worker) - idle) / elapsed], "cores")


def _pushed(cluster: Cluster) -> int:
    """Return how many messages the broker was given so far."""
    told = redis.Redis.from_url(cluster.valkey.url()).info("commandstats")
    return int(told.get("cmdstat_lpush", {}).get("calls", 0))


def _done(cluster: Cluster) -> int:
    engine = create_engine(cluster.database_url)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM jobs WHERE state = 'done'"))
    engine.dispose()
    return int(found or 0)


def _rest(cluster: Cluster) -> None:
    """Wait until nothing is left to do."""
    engine = create_engine(cluster.database_url)
    give_up_at, calm = time.monotonic() + PATIENCE_SECONDS, 0
    while calm < 2:
        with engine.connect() as connection:
            calm = calm + 1 if not connection.scalar(text(NOT_AT_REST)) else 0
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"something was left to do after {PATIENCE_SECONDS:g} s; look at its logs")
        time.sleep(0.1)
    engine.dispose()


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process, user and system, threads included and children not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _cpu_of_tree(pid: int) -> float:
    """Return the CPU seconds of a process, of its children that ended, and of those that live."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    total = sum(int(each) for each in fields[11:15]) / TICKS
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            total += _cpu_of_tree(int(child))
        except OSError:
            continue
    return total
