"""Faults in mid-run, with real processes: nothing is lost, nothing is published twice."""

import os
import resource
import signal
import time
from pathlib import Path

import httpx
from sqlalchemy import create_engine, func, make_url, select, text

from lethe.client.records import class_target
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import free_port, running
from lethe.embedded.valkey import EmbeddedValkey
from service.core.db.session import transaction
from service.core.queue.models import Job, JobState
from service.core.registry.models import Version
from service.core.requests.models import Run, RunState
from tests.fixtures.database import migrate
from tests.fixtures.digits import RECIPE, TrainedDigits
from tests.fixtures.stack import LEASE_SECONDS, Stack, assembled

SLOW = {"class_ladder": ["retrain"], "samples_ladder": ["retrain"]}
"""Retraining takes long enough to be interrupted."""


def slow_registration(trained_digits: TrainedDigits, name: str) -> dict[str, object]:
    return {**trained_digits.registration(name, **SLOW), "training": {**RECIPE.to_json(), "epochs": 40}}


def is_forgetting(stack: Stack) -> bool:
    with transaction(stack.sessions) as session:
        stage = session.scalar(select(Run.stage).order_by(Run.id.desc()).limit(1))
    return stage is not None and stage.startswith("forgetting")


def num_versions(stack: Stack) -> int:
    with transaction(stack.sessions) as session:
        return session.scalar(select(func.count()).select_from(Version)) or 0


def test_a_worker_killed_in_mid_run_costs_two_leases_and_publishes_once(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    stack.start("worker-two")
    stack.until(lambda: stack.log("worker-two"), lambda log: " ready." in log)
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    stack.kill(owner_of_the_run(stack))
    killed_at = time.monotonic()
    stack.until(lambda: claims(stack), lambda attempts: attempts == 2)
    reclaimed_after = time.monotonic() - killed_at
    done = stack.settled(request)

    assert reclaimed_after < 2 * LEASE_SECONDS
    assert done.status == "completed"
    assert num_versions(stack) == 2
    with transaction(stack.sessions) as session:
        states = session.scalars(select(Run.state).order_by(Run.id)).all()
    assert states == [RunState.BROKEN, RunState.PUBLISHED]


def owner_of_the_run(stack: Stack) -> str:
    """Return the name of the worker that holds the running job."""
    with transaction(stack.sessions) as session:
        owner = session.scalars(select(Job.owner).where(Job.state == JobState.RUNNING)).one()
    assert owner is not None
    return next(name for name, (_, process) in stack.processes.items() if owner.endswith(f":{process.pid}"))


def claims(stack: Stack) -> int:
    with transaction(stack.sessions) as session:
        return session.scalar(select(Job.attempts).where(Job.kind == "unlearn")) or 0


def test_a_paused_worker_that_comes_back_publishes_nothing(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)
    _, worker = stack.processes["worker"]

    os.kill(worker.pid, signal.SIGSTOP)
    stack.start("worker-two")
    done = stack.settled(request)
    os.kill(worker.pid, signal.SIGCONT)
    stack.until(lambda: "job.lease_lost" in stack.log("worker"), bool)

    assert done.status == "completed"
    assert num_versions(stack) == 2


def test_a_killed_engine_is_started_again_and_the_request_completes(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    os.kill(engine_of(stack), signal.SIGKILL)
    done = stack.settled(request)

    assert done.status == "completed"
    assert num_versions(stack) == 2


def engine_of(stack: Stack) -> int:
    """Return the pid of the worker's child."""
    _, worker = stack.processes["worker"]
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return int(children[-1])


def test_connections_cut_in_mid_run_lose_nothing(stack: Stack, trained_digits: TrainedDigits) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    cut_every_connection(stack)
    done = stack.settled(request)

    assert done.status == "completed"
    assert num_versions(stack) == 2


def cut_every_connection(stack: Stack) -> None:
    """Do to the test's database what a restart does to its clients, without taking it from other tests."""
    url = make_url(stack.variables["LETHE_DATABASE_URL"])
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": url.database},
        )
    engine.dispose()


def test_a_database_restarted_in_mid_run_loses_nothing(
    broker_server: str, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "postgres.log", port=free_port())
    with running(postgres.program()):
        postgres.ensure_database("lethe")
        migrate(postgres.url("lethe"))
        stack = assembled(postgres.url("lethe"), broker_server, tmp_path)
        for name in ("relay", "worker", "api"):
            stack.start(name)
        stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
        request = stack.client.forget("digits", class_target([3]))
        stack.until(lambda: is_forgetting(stack), bool)
    with running(postgres.program()):
        stack.until(lambda: httpx.get(f"{stack.url}/readyz", trust_env=False).is_success, bool)
        done = stack.settled(request)
        count = num_versions(stack)
        stack.close()

    assert done.status == "completed"
    assert count == 2


def test_a_disk_that_is_full_while_publishing_delays_the_request(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    resource.prlimit(engine_of(stack), resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    stack.until(lambda: stack.log("worker"), lambda log: "storage_unavailable" in log)
    partials = [*stack.folder.glob("store/*/.partial-*")]
    resource.prlimit(engine_of(stack), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    done = stack.settled(request)

    assert partials == []
    assert done.status == "completed"
    assert num_versions(stack) == 2


def test_a_broker_that_is_out_delays_and_loses_nothing(
    bare_stack: Stack, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    valkey = EmbeddedValkey(tmp_path / "own-valkey", tmp_path / "own-valkey.log", free_port())
    bare_stack.variables = {**bare_stack.variables, "LETHE_BROKER_URL": valkey.url()}
    with running(valkey.program()):
        for name in ("relay", "worker", "api"):
            bare_stack.start(name)
        bare_stack.register(trained_digits.registration("digits"), trained_digits.weights)
    request = bare_stack.client.forget("digits", class_target([3]))
    assert bare_stack.client.request(request.id).status == "queued"
    with running(valkey.program()):
        done = bare_stack.settled(request)

    assert done.status == "completed"
    assert httpx.get(f"{bare_stack.url}/livez", trust_env=False).is_success
