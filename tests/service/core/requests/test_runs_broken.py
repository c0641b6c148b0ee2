"""Runs that end badly: given back, failed, reaped; nobody is left waiting for ever."""

from service.core.db.session import Sessions, transaction
from service.core.queue import leases
from service.core.queue import repository as queue
from service.core.queue.models import JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry.models import ModelState
from service.core.requests import broken, repository
from service.core.requests.models import RunState
from service.core.requests.states import Status
from tests.fixtures.forgetting import MAX_ATTEMPTS, Kernel
from tests.fixtures.registry import ReadyModel


def test_retry_puts_requests_back_in_their_old_order(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    first, second = kernel.ask_samples(digits, 1), kernel.ask_samples(digits, 2)
    lease, lost = kernel.begin(digits)

    with transaction(sessions) as session:
        broken.retry(session, lease, "disk full " * 100)

    run = kernel.run(lost.run_id)
    assert (run.state, len(run.reason or "")) == (RunState.BROKEN, 500)
    with transaction(sessions) as session:
        waiting = repository.waiting_for(session, digits.id)
        assert [one.id for one in waiting] == [first.id, second.id]
        assert [one.run_id for one in waiting] == [None, None]
    kernel.make_due(digits)
    again, assignment = kernel.begin(digits)
    assert (again.job_id, again.attempts, again.epoch) == (lease.job_id, 2, lease.epoch + 1)
    assert assignment.run_id != lost.run_id


def test_failure_tells_every_request_that_the_run_carried(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    carried = [kernel.ask_samples(digits, 1), kernel.ask_classes(digits, 2)]
    lease, assignment = kernel.begin(digits)

    with transaction(sessions) as session:
        broken.fail(session, lease, "row 7 cannot be read " * 100, code="unreadable_row")

    rows = [kernel.request(one.id) for one in carried]
    assert [(row.status, row.reason) for row in rows] == [(Status.FAILED, "unreadable_row")] * 2
    assert kernel.run(assignment.run_id).state == RunState.BROKEN
    assert [job.state for job in kernel.jobs(digits)] == [JobState.PARKED]


def test_request_that_came_during_a_failed_run_is_served_by_its_own_job(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    lease, _ = kernel.begin(digits)
    late = kernel.ask_samples(digits, 2)

    with transaction(sessions) as session:
        broken.fail(session, lease, "broken")

    assert kernel.request(late.id).status == Status.QUEUED
    kernel.serve(digits)
    assert kernel.request(late.id).status == Status.COMPLETED


def test_job_lost_before_it_took_anything_leaves_nobody_waiting_for_ever(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 1)
    for _ in range(MAX_ATTEMPTS):
        lease = kernel.claim(digits)
        assert lease is not None
        kernel.lose(lease)

    assert [job.state for job in kernel.jobs(digits)] == [JobState.PARKED]
    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.FAILED, "attempts_exhausted")


def test_reaper_gives_an_expired_job_to_the_next_worker(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 1)
    lease, assignment = kernel.begin(digits)
    kernel.audit(lease, assignment)
    kernel.expire(lease)

    with transaction(sessions) as session:
        assert broken.reap(session, MAX_ATTEMPTS) == [(lease, JobState.READY)]

    assert kernel.run(assignment.run_id).state == RunState.BROKEN
    version = kernel.serve(digits)
    assert version.number == 2
    kinds = [entry.kind.removeprefix("request.") for entry in kernel.story(request.id)]
    assert kinds == [
        "received",
        "queued",
        "running",
        "auditing",
        "queued",
        "running",
        "auditing",
        "completed",
    ]


def test_reaper_leaves_a_living_lease_alone(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    kernel.ask_samples(digits, 1)
    kernel.begin(digits)

    with transaction(sessions) as session:
        assert broken.reap(session, MAX_ATTEMPTS) == []


def test_poison_job_is_parked_when_its_attempts_are_used_up(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    request = kernel.ask_samples(digits, 1)
    states = []
    for _ in range(MAX_ATTEMPTS):
        lease, _ = kernel.begin(digits)
        kernel.expire(lease)
        with transaction(sessions) as session:
            states += [state for _, state in broken.reap(session, MAX_ATTEMPTS)]

    assert states == [JobState.READY, JobState.PARKED]
    row = kernel.request(request.id)
    assert (row.status, row.reason) == (Status.FAILED, "attempts_exhausted")


def test_upload_whose_preparation_was_always_lost_is_refused(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    with transaction(sessions) as session:
        model = registry.model_named(session, digits.name)
        model.served_version, model.state = None, ModelState.PREPARING
        job_id = queue.enqueue(session, digits.id, JobKind.PREPARE)
    with transaction(sessions) as session:
        lease = leases.claim(session, job_id, "worker", 30)
    assert lease is not None
    kernel.expire(lease)

    with transaction(sessions) as session:
        broken.reap(session, 1)

    with transaction(sessions) as session:
        model = registry.model_named(session, digits.name)
        assert model.state == ModelState.FAILED
        assert model.reason == "The worker was lost 1 times at this job."
