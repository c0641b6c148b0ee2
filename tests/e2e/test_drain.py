"""Leaving in good order, with real processes: what is at hand is finished or handed over, nothing is lost."""

import signal
import time

from sqlalchemy import select

from lethe.client.records import class_target
from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.db.session import transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.queue.models import Job, JobKind, JobState
from tests.e2e.test_faults import is_forgetting, num_versions, slow_registration
from tests.fixtures.digits import TrainedDigits
from tests.fixtures.stack import LEASE_SECONDS, Stack


def the_job(stack: Stack) -> Job:
    with transaction(stack.sessions) as session:
        return session.scalars(select(Job).where(Job.kind == JobKind.UNLEARN)).one()


def ends_within(stack: Stack, name: str, seconds: float) -> float:
    """Send SIGTERM and return after how long the process had ended, in good order."""
    _, process = stack.processes[name]
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(seconds) == 0
    return time.monotonic() - began


def test_a_worker_told_to_stop_hands_its_job_to_another_and_no_attempt_is_counted(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    stack.stop("worker")
    stack.start("worker-leaving", LETHE_DRAIN_SECONDS="0.5")
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    ends_within(stack, "worker-leaving", 60.0)

    job = the_job(stack)
    assert (job.state, job.attempts, job.lease_until) == (JobState.READY, 0, None)
    with transaction(stack.sessions) as session:
        assert fleet.num_present(session) == {Role.WORKER: 0, Role.RELAY: 1}
    stack.start("worker-two")
    done = stack.settled(request)
    assert done.status == "completed"
    assert the_job(stack).attempts == 1
    assert num_versions(stack) == 2
    with transaction(stack.sessions) as session:
        told = counting.totals(session)
    assert told[Counter.HANDED_OVER] == {(): 1.0}
    assert Counter.LEASES_LOST not in told


def test_another_worker_has_the_job_before_a_lease_is_over(
    bare_stack: Stack, trained_digits: TrainedDigits
) -> None:
    lease_seconds = 20 * LEASE_SECONDS
    bare_stack.variables = {**bare_stack.variables, "LETHE_LEASE_SECONDS": str(lease_seconds)}
    for name in ("relay", "worker", "worker-two", "api"):
        bare_stack.start(name, LETHE_DRAIN_SECONDS="0")
    for name in ("worker", "worker-two"):
        bare_stack.until(lambda name=name: bare_stack.log(name), lambda log: " ready." in log)
    bare_stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    request = bare_stack.client.forget("digits", class_target([3]))
    bare_stack.until(lambda: is_forgetting(bare_stack), bool)

    owner = the_job(bare_stack).owner or ""
    leaving = next(
        process
        for name, (_, process) in bare_stack.processes.items()
        if name.startswith("worker") and owner.endswith(f":{process.pid}")
    )
    told_at = time.monotonic()
    leaving.send_signal(signal.SIGTERM)
    bare_stack.until(
        lambda: the_job(bare_stack),
        lambda job: job.owner is not None and not job.owner.endswith(f":{leaving.pid}"),
    )

    assert time.monotonic() - told_at < lease_seconds / 2
    assert bare_stack.settled(request).status == "completed"
    assert num_versions(bare_stack) == 2


def test_a_job_that_ends_in_time_is_finished_by_the_worker_that_leaves(
    stack: Stack, trained_digits: TrainedDigits
) -> None:
    stack.register(slow_registration(trained_digits, "digits"), trained_digits.weights)
    stack.stop("worker")
    stack.start("worker-leaving", LETHE_DRAIN_SECONDS="80")
    request = stack.client.forget("digits", class_target([3]))
    stack.until(lambda: is_forgetting(stack), bool)

    ends_within(stack, "worker-leaving", 90.0)

    assert stack.client.request(request.id).status == "completed"
    assert "worker.draining" in stack.log("worker-leaving")
