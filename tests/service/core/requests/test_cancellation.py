"""A request is taken back in mid-run: the run is broken off, its lease revoked, and nobody else is harmed."""

import threading
import time
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import func, select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger.models import Certificate
from service.core.queue import leases
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.requests import cancellation, repository
from service.core.requests.assignments import Assignment
from service.core.requests.models import ForgetRequest, RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel

HEAD_STARTS_SECONDS = (0.0, 0.001, 0.002, 0.004, 0.008, 0.1)
"""Of the cancellation, whose first statement takes no lock; the last one lets it win on any machine."""
RACES = 4 * len(HEAD_STARTS_SECONDS)


def cancel(sessions: Sessions, request_id: UUID) -> ForgetRequest:
    with transaction(sessions) as session:
        return cancellation.cancel(session, request_id, "someone")


@pytest.mark.parametrize("is_audited", [False, True])
def test_a_request_in_a_run_is_cancelled_and_its_run_is_broken_off(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, is_audited: bool
) -> None:
    request = kernel.ask_samples(digits, 3)
    lease, assignment = kernel.begin(digits)
    if is_audited:
        kernel.audit(lease, assignment)

    cancelled = cancel(sessions, request.id)

    run = kernel.run(assignment.run_id)
    assert (cancelled.status, cancelled.run_id, cancelled.positions) == (Status.CANCELLED, None, None)
    assert (run.state, run.reason) == (RunState.BROKEN, cancellation.TAKEN_BACK)
    assert [job.state for job in kernel.jobs(digits)] == [JobState.DONE]
    assert kernel.story(request.id)[-1].body["run"] == str(assignment.run_id)


def test_the_lease_of_a_run_that_was_broken_off_is_lost_at_the_next_beat(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 3)
    lease, _ = kernel.begin(digits)

    cancel(sessions, request.id)

    with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
        leases.heartbeat(session, lease, 30.0)


def test_the_others_of_the_run_wait_again_in_their_old_order_and_their_attempt_is_not_counted(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    first, second, third = (kernel.ask_samples(digits, place) for place in (1, 2, 3))
    kernel.begin(digits)
    late = kernel.ask_samples(digits, 4)

    cancel(sessions, second.id)

    with transaction(sessions) as session:
        waiting = [one.id for one in repository.waiting_for(session, digits.id)]
    assert waiting == [first.id, third.id, late.id]
    lease, assignment = kernel.begin(digits)
    assert lease.attempts == 1
    assert assignment.positions == (1, 3, 4)


def test_the_job_of_those_that_wait_again_is_due_when_the_first_of_them_is(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kept, taken_back = kernel.ask_samples(digits, 1), kernel.ask_samples(digits, 2)
    kernel.begin(digits)

    cancel(sessions, taken_back.id)

    assert [job.due_at for job in kernel.jobs(digits) if job.state == JobState.READY] == [kept.due_at]


def test_what_the_broken_run_left_in_the_store_is_swept_in_its_turn(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 3)
    kernel.begin(digits)

    cancel(sessions, request.id)

    assert [job.state for job in kernel.jobs(digits, JobKind.PURGE)] == [JobState.READY]


def test_cancelling_in_mid_run_twice_is_one_entry(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 3)
    kernel.begin(digits)
    cancel(sessions, request.id)

    assert cancel(sessions, request.id).status == Status.CANCELLED
    assert [entry.kind for entry in kernel.story(request.id)].count("request.cancelled") == 1


def test_a_completed_request_is_too_late_to_cancel(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 3)
    kernel.serve(digits)

    with pytest.raises(errors.Conflict) as refusal:
        cancel(sessions, request.id)

    assert refusal.value.code == "too_late_to_cancel"


def test_of_cancelling_and_publishing_at_once_exactly_one_wins(
    kernel: Kernel, sessions: Sessions, make_ready: MakeReady
) -> None:
    digits = make_ready("raced")
    outcomes = set()
    for place in range(RACES):
        request = kernel.ask_samples(digits, place)
        lease, assignment = kernel.begin(digits)
        kernel.audit(lease, assignment)

        head_start_seconds = HEAD_STARTS_SECONDS[place % len(HEAD_STARTS_SECONDS)]
        was_cancelled, was_published = race(
            kernel, sessions, digits, request, lease, assignment, head_start_seconds
        )

        assert was_cancelled != was_published
        status = kernel.request(request.id).status
        assert status == (Status.COMPLETED if was_published else Status.CANCELLED)
        assert num_certificates(sessions, request.id) == int(was_published)
        outcomes.add(status)

    # Were one of the two never to win, the race would not have been one.
    assert outcomes == {Status.COMPLETED, Status.CANCELLED}


def race(
    kernel: Kernel,
    sessions: Sessions,
    model: ReadyModel,
    request: ForgetRequest,
    lease: Lease,
    assignment: Assignment,
    head_start_seconds: float,
) -> tuple[bool, bool]:
    """Cancel and publish from two threads, the first with a head start; return which of them succeeded."""
    gate = threading.Barrier(2)
    done = {"cancel": False, "publish": False}

    def take_back() -> None:
        gate.wait()
        try:
            cancel(sessions, request.id)
            done["cancel"] = True
        except errors.Conflict:
            pass

    def publish() -> None:
        gate.wait()
        time.sleep(head_start_seconds)
        try:
            kernel.publish(model, lease, assignment)
            done["publish"] = True
        except errors.LeaseLost:
            pass

    threads = [threading.Thread(target=deed) for deed in (take_back, publish)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done["cancel"], done["publish"]


def num_certificates(sessions: Sessions, request_id: UUID) -> int:
    with transaction(sessions) as session:
        query = select(func.count()).select_from(Certificate).where(Certificate.request_id == request_id)
        return session.scalar(query) or 0


def test_cancelling_and_taking_at_once_leaves_a_cancelled_request_and_no_run_with_it(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    for place in range(RACES // 2):
        request, other = kernel.ask_samples(digits, place), kernel.ask_samples(digits, 23 - place)
        gate = threading.Barrier(2)

        def take_back(gate: threading.Barrier = gate, request_id: UUID = request.id) -> None:
            gate.wait()
            cancel(sessions, request_id)

        thread = threading.Thread(target=take_back)
        thread.start()
        gate.wait()
        with suppress(errors.LeaseLost):
            kernel.begin(digits)
        thread.join()

        assert kernel.request(request.id).status == Status.CANCELLED
        assert kernel.request(other.id).status in (Status.QUEUED, Status.RUNNING)
        cancel(sessions, other.id)
    with transaction(sessions) as session:
        running = session.scalars(select(Job.id).where(Job.state == JobState.RUNNING)).all()
    assert running == []
