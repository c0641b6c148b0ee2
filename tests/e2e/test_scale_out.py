"""Several of everything at once: APIs, relays and workers on one database, one broker and one store."""

import time
from collections.abc import Iterator
from itertools import cycle

import pytest
from sqlalchemy import select, text

from benchmarks.chaos import checker
from benchmarks.chaos.traffic import ARGUMENTS, FACTORY, POLICY, RECIPE, sample_ids
from lethe.client.records import samples_target
from service.core.db.session import transaction
from service.core.queue.models import Job, JobKind, JobState
from tests.fixtures.stack import Stack, assembled
from workers.numerics import architectures
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import write_file
from workers.preparation.training import train

NUM_MODELS = 3
A_BURST = 6
"""Requests, taken in turn by the two APIs."""
MAX_BURSTS = 6
"""That the others may be quicker in."""
AT_REST = (
    "SELECT (SELECT count(*) FROM jobs WHERE state IN ('ready', 'running')) "
    "+ (SELECT count(*) FROM ledger_entries WHERE leaf_index IS NULL)"
)


@pytest.fixture
def pair(bare_stack: Stack) -> Iterator[tuple[Stack, Stack]]:
    """Two stacks that share everything but the port of their API."""
    shared = bare_stack.variables
    other = assembled(shared["LETHE_DATABASE_URL"], shared["LETHE_BROKER_URL"], bare_stack.folder)
    yield bare_stack, other
    other.close()


@pytest.mark.timeout(420)
def test_work_is_shared_and_workers_come_and_go_without_a_loss(pair: tuple[Stack, Stack]) -> None:
    first, second = pair
    for stack in pair:
        for name in ("relay", "worker", "api"):
            stack.start(name)
    models = register(first)
    ids, promises = iter(sample_ids()), list[checker.Promise]()

    def burst() -> None:
        for (place, model), stack in zip(enumerate(cycle(models)), cycle(pair), strict=False):
            if place == A_BURST:
                return
            request = stack.client.forget(model, samples_target([next(ids)]))
            promises.append(checker.Promise(request.id, model, len(promises)))

    burst()
    newcomer = f":{second.start('worker-late').pid}"
    burst()
    second.until(lambda: second.log("worker-late"), lambda log: " ready." in log)
    for _ in range(MAX_BURSTS):
        burst()
        rest(first)
        if newcomer in owners(first):
            break
    burst()
    leaving = f":{first.processes['worker'][1].pid}"
    first.until(lambda: (running(first), num_waiting(first)), lambda seen: leaving in seen[0] or not seen[1])
    first.stop("worker")
    burst()
    for promise in promises:
        first.until(
            lambda promise=promise: first.client.request(promise.request_id), lambda one: one.is_resting
        )
    rest(first)

    assert checker.findings(first.engine, first.folder / "store", promises) == []
    done = owners(first)
    assert newcomer in done, "the worker that came later took nothing"
    assert len(done) > 1, "one worker did all of it"


def register(stack: Stack) -> list[str]:
    """Register one tiny network under several names and wait until all are served."""
    source = open_source({"source": "digits"})
    weights = stack.folder / "weights.safetensors"
    write_file(weights, train(lambda: architectures.build(FACTORY, ARGUMENTS), source, RECIPE).params)
    names = [f"model-{number}" for number in range(NUM_MODELS)]
    for name in names:
        stack.client.register_model(
            {
                "name": name,
                "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
                "dataset": {"source": "digits"},
                "training": RECIPE.to_json(),
                "policy": {**POLICY, "study_seconds": 0},
            }
        )
        stack.client.upload_weights(name, weights)
    for name in names:
        stack.until(lambda name=name: stack.client.model(name), lambda model: model.state == "ready")
    return names


def owners(stack: Stack) -> set[str]:
    """Return which workers, as `:PID`, have ended an unlearning."""
    with transaction(stack.sessions) as session:
        found = session.scalars(
            select(Job.owner).where(Job.kind == JobKind.UNLEARN, Job.state == JobState.DONE).distinct()
        )
        return {":" + owner.rpartition(":")[2] for owner in found if owner}


def running(stack: Stack) -> set[str]:
    """Return which workers, as `:PID`, run a job at this moment."""
    with transaction(stack.sessions) as session:
        found = session.scalars(select(Job.owner).where(Job.state == JobState.RUNNING))
        return {":" + owner.rpartition(":")[2] for owner in found if owner}


def num_waiting(stack: Stack) -> int:
    """Return what is left to do."""
    with stack.engine.connect() as connection:
        return int(connection.scalar(text(AT_REST)) or 0)


def rest(stack: Stack) -> None:
    """Wait until nothing is left to do, and stays so for a moment."""
    for _ in range(3):
        stack.until(lambda: num_waiting(stack), lambda left: left == 0)
        time.sleep(0.2)
