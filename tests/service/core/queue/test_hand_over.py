"""A worker that is told to stop gives its job back as if it had never had it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.core import clock, errors
from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.db.session import transaction
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.requests import broken
from service.core.requests.models import RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel


def hand_over(kernel: Kernel, lease: Lease) -> None:
    with transaction(kernel.sessions) as session:
        broken.hand_over(session, lease)


def test_requests_wait_again_and_no_attempt_is_counted(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_classes(digits, 3)
    lease, assignment = kernel.begin(digits)

    hand_over(kernel, lease)

    (job,) = kernel.jobs(digits)
    assert (job.state, job.attempts, job.not_before, job.lease_until) == (JobState.READY, 0, None, None)
    assert kernel.request(request.id).status == Status.QUEUED
    assert kernel.run(assignment.run_id).state == RunState.BROKEN
    with transaction(kernel.sessions) as session:
        told = counting.totals(session)
    assert told[Counter.HANDED_OVER] == {(): 1.0}
    assert told[Counter.RUNS] == {("none", "handed_over"): 1.0}
    assert Counter.LEASES_LOST not in told
    version = kernel.serve(digits)
    assert version.number == 2


def test_a_job_that_was_attempted_before_keeps_those_attempts(kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_classes(digits, 3)
    lost, _ = kernel.begin(digits)
    kernel.lose(lost)
    lease, _ = kernel.begin(digits)

    hand_over(kernel, lease)

    (job,) = kernel.jobs(digits)
    assert (lease.attempts, job.attempts) == (2, 1)


def test_one_that_came_meanwhile_is_united_with_it_in_the_older_place(
    kernel: Kernel, digits: ReadyModel
) -> None:
    kernel.ask_classes(digits, 3)
    lease, _ = kernel.begin(digits)
    later = kernel.ask_classes(digits, 2)
    soon = clock.now() + timedelta(days=1)
    with transaction(kernel.sessions) as session:
        queue.enqueue(session, digits.id, JobKind.UNLEARN, due_at=soon)
    assert len(kernel.jobs(digits)) == 2

    hand_over(kernel, lease)

    (job,) = kernel.jobs(digits)
    assert (job.id, job.state, job.due_at) == (lease.job_id, JobState.READY, soon)
    kernel.serve(digits)
    assert kernel.request(later.id).status == Status.COMPLETED


def test_whoever_lost_the_lease_can_hand_nothing_over(kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_classes(digits, 3)
    lease, _ = kernel.begin(digits)
    kernel.ask_classes(digits, 2)
    kernel.lose(lease)

    with pytest.raises(errors.LeaseLost):
        hand_over(kernel, lease)

    with transaction(kernel.sessions) as session:
        states = session.scalars(select(Job.state).where(Job.kind == JobKind.UNLEARN)).all()
    assert states == [JobState.READY, JobState.READY]
