"""One request of many breaks every run: it is found, it alone fails, and whoever was with it is served."""

from collections.abc import Callable, Collection

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.core.db.session import Sessions, transaction
from service.core.queue import endings, evidence, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry.models import Model, ModelState
from service.core.requests import broken, parked, runs
from service.core.requests.broken import Breakdown
from service.core.requests.models import ForgetRequest
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel

MAX_ATTEMPTS = 2
DIED = Breakdown("The engine died.", code="engine_died", is_suspicious=True, facts={"signal": "SIGKILL"})
DISK_FULL = Breakdown("The store is full.", code="storage_unavailable")
PATIENCE = 200


def work(kernel: Kernel, model: ReadyModel, poison: Collection[int]) -> list[int]:
    """Do all that waits for a model, as a worker whose engine dies of some positions would.

    Returns:
        How many positions each run had to forget.
    """
    sizes = []
    for _ in range(PATIENCE):
        kernel.make_due(model)
        lease = kernel.claim(model)
        if lease is None:
            return sizes
        if lease.kind != JobKind.UNLEARN:
            with transaction(kernel.sessions) as session:
                endings.finish(session, lease)
            continue
        with transaction(kernel.sessions) as session:
            assignment = runs.take(session, lease)
        if assignment is None:
            continue
        sizes.append(len(assignment.positions))
        if {*poison} & {*assignment.positions}:
            with transaction(kernel.sessions) as session:
                broken.settle(session, lease, DIED, MAX_ATTEMPTS)
            continue
        kernel.audit(lease, assignment)
        kernel.publish(model, lease, assignment)
    raise AssertionError(f"the work did not end; its runs served {sizes}")


def statuses(kernel: Kernel, requests: list[ForgetRequest]) -> list[Status]:
    return [Status(kernel.request(one.id).status) for one in requests]


@pytest.mark.parametrize("culprit", [0, 3, 6])
def test_of_seven_requests_only_the_one_that_breaks_every_run_fails(
    kernel: Kernel, digits: ReadyModel, culprit: int
) -> None:
    requests = [kernel.ask_samples(digits, place) for place in range(7)]

    sizes = work(kernel, digits, {culprit})

    assert statuses(kernel, requests) == [
        Status.FAILED if place == culprit else Status.COMPLETED for place in range(7)
    ]
    assert sizes[:3] == [7, 7, 3]
    parked_jobs = [job for job in kernel.jobs(digits) if job.state == JobState.PARKED]
    assert [job.evidence[-1]["served"] for job in parked_jobs] == [1]


def test_one_loss_suspects_nobody(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    requests = [kernel.ask_samples(digits, place) for place in range(4)]
    lease, _ = kernel.begin(digits)
    kernel.lose(lease)

    _, assignment = kernel.begin(digits)

    assert len(assignment.positions) == len(requests)


def test_where_request_after_request_fails_alone_all_that_wait_are_told(
    kernel: Kernel, digits: ReadyModel
) -> None:
    requests = [kernel.ask_samples(digits, place) for place in range(16)]

    sizes = work(kernel, digits, range(16))

    assert set(statuses(kernel, requests)) == {Status.FAILED}
    assert sizes.count(1) == broken.ALONE_IN_A_ROW


def test_a_trouble_that_no_request_is_to_blame_for_divides_nobody(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    requests = [kernel.ask_samples(digits, place) for place in range(4)]
    for _ in range(MAX_ATTEMPTS):
        kernel.make_due(digits)
        lease, assignment = kernel.begin(digits)
        assert len(assignment.positions) == len(requests)
        with transaction(sessions) as session:
            broken.settle(session, lease, DISK_FULL, MAX_ATTEMPTS)

    assert {kernel.request(one.id).reason for one in requests} == {"storage_unavailable"}
    assert set(statuses(kernel, requests)) == {Status.FAILED}


def test_a_job_keeps_what_each_attempt_left_behind(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    kernel.ask_samples(digits, 2)
    lease, assignment = kernel.begin(digits)
    with transaction(sessions) as session:
        runs.progress(session, assignment.run_id, "forgetting by ssd", 0.5)
    with transaction(sessions) as session:
        broken.settle(session, lease, DIED, MAX_ATTEMPTS)
    kernel.make_due(digits)
    lease, _ = kernel.begin(digits)

    kernel.lose(lease)

    (job,) = [job for job in kernel.jobs(digits) if job.evidence]
    first, second = job.evidence
    assert {name: first[name] for name in ("attempt", "owner", "reason", "stage", "served", "signal")} == {
        "attempt": 1,
        "owner": "worker",
        "reason": "The engine died.",
        "stage": "forgetting by ssd",
        "served": 2,
        "signal": "SIGKILL",
    }
    assert (second["attempt"], second["reason"], second["stage"]) == (2, broken.LEASE_RAN_OUT, "claimed")


def test_evidence_is_bounded(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    kernel.ask_samples(digits, 1)
    for _ in range(evidence.KEPT + 3):
        kernel.make_due(digits)
        lease = kernel.claim(digits)
        assert lease is not None
        with transaction(sessions) as session:
            broken.retry(session, lease, "again")

    (job,) = kernel.jobs(digits)
    assert len(job.evidence) == evidence.KEPT
    assert job.evidence[-1]["attempt"] == evidence.KEPT + 3


def test_a_parked_job_holds_up_neither_its_model_nor_another(kernel: Kernel, digits: ReadyModel) -> None:
    poisoned = kernel.ask_samples(digits, 1)
    work(kernel, digits, {1})

    later = kernel.ask_samples(digits, 2)
    work(kernel, digits, {1})

    assert statuses(kernel, [poisoned, later]) == [Status.FAILED, Status.COMPLETED]


def test_putting_a_parked_job_back_serves_whoever_failed_with_it_or_waited_for_it(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    taken = kernel.ask_samples(digits, 1)
    work(kernel, digits, {1})
    untaken = kernel.ask_samples(digits, 2)
    for _ in range(MAX_ATTEMPTS):
        while (lease := kernel.claim(digits)) is not None and lease.kind != JobKind.UNLEARN:
            with transaction(sessions) as session:
                endings.finish(session, lease)
        assert lease is not None
        kernel.lose(lease)
    first, second = [job for job in kernel.jobs(digits) if job.state == JobState.PARKED]

    with transaction(sessions) as session:
        _, again = parked.retry(session, first.id, "operator")

    assert [one.id for one in again] == [taken.id, untaken.id]
    assert kernel.story(taken.id)[-1].body.items() >= {"by": "operator", "job": str(first.id)}.items()
    work(kernel, digits, ())
    assert statuses(kernel, [taken, untaken]) == [Status.COMPLETED] * 2
    with transaction(sessions) as session:
        states = {job_id: session.get_one(Job, job_id).state for job_id in (first.id, second.id)}
    assert states == {first.id: JobState.DONE, second.id: JobState.PARKED}


def test_putting_a_parked_preparation_back_prepares_the_upload_again(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    with transaction(sessions) as session:
        model = registry.model_named(session, digits.name)
        model.served_version, model.state, model.upload_sha256 = None, ModelState.PREPARING, "0" * 64
        job_id = queue.enqueue(session, digits.id, JobKind.PREPARE)
    with transaction(sessions) as session:
        lease = leases.claim(session, job_id, "worker", 30)
    assert lease is not None
    with transaction(sessions) as session:
        broken.fail(session, lease, "The engine died.")

    with transaction(sessions) as session:
        parked.retry(session, job_id, "operator")

    with transaction(sessions) as session:
        assert session.get_one(Model, digits.id).state == ModelState.PREPARING
        query = select(Job.state).where(Job.model_id == digits.id, Job.kind == JobKind.PREPARE)
        assert session.scalars(query.order_by(Job.position)).all() == [JobState.DONE, JobState.READY]


def test_what_a_failed_run_left_in_the_store_is_swept_in_its_turn(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    lease, _ = kernel.begin(digits)

    with transaction(sessions) as session:
        broken.fail(session, lease, "broken")

    assert [job.state for job in kernel.jobs(digits, JobKind.PURGE)] == [JobState.READY]


@pytest.mark.parametrize(
    "lose",
    [
        lambda session, _: broken.reap(session, max_attempts=3),
        lambda session, lease: broken.retry(session, lease, "the engine died"),
        broken.hand_over,
    ],
    ids=["its worker is gone", "its engine is gone", "its worker leaves"],
)
def test_what_a_lost_refresh_left_in_the_store_is_swept_too(
    lose: Callable[[Session, Lease], object], kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)
    kernel.serve(digits)
    purge = kernel.claim(digits)
    assert purge is not None and purge.kind == JobKind.PURGE
    with transaction(sessions) as session:
        endings.finish(session, purge)
    lease = kernel.claim(digits, lease_seconds=-1.0)
    assert lease is not None and lease.kind == JobKind.REFRESH

    with transaction(sessions) as session:
        lose(session, lease)

    assert [job.state for job in kernel.jobs(digits, JobKind.PURGE)] == [JobState.DONE, JobState.READY]
