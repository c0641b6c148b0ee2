"""Enqueueing: whoever wants work joins the untouched job or makes one, and nobody is ever left without."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from sqlalchemy import select

from service.core.db.session import Sessions, transaction
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.requests import runs
from service.core.requests.models import ForgetRequest
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.locks import await_blocked
from tests.fixtures.registry import ReadyModel

NUM_PRODUCERS = 4
NUM_REQUESTS = 6
"""By each producer."""
NUM_WORKERS = 2


def test_same_work_joins_the_untouched_job(sessions: Sessions, digits: ReadyModel) -> None:
    with transaction(sessions) as session:
        first = queue.enqueue(session, digits.id, JobKind.UNLEARN)
    with transaction(sessions) as session:
        assert queue.enqueue(session, digits.id, JobKind.UNLEARN) == first
        assert queue.enqueue(session, digits.id, JobKind.PURGE) != first


def test_claimed_job_is_never_joined(sessions: Sessions, digits: ReadyModel) -> None:
    with transaction(sessions) as session:
        first = queue.enqueue(session, digits.id, JobKind.UNLEARN)
    with transaction(sessions) as session:
        lease = leases.claim(session, first, "worker", 30)
        assert lease is not None
    with transaction(sessions) as session:
        second = queue.enqueue(session, digits.id, JobKind.UNLEARN)
        assert second != first
    with transaction(sessions) as session:
        endings.take_away(session, lease, "lost")

    with transaction(sessions) as session:
        assert queue.enqueue(session, digits.id, JobKind.UNLEARN) == second


def test_untouched_job_is_not_claimed_before_its_joiner_commits(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    kernel.ask_samples(digits, 1)

    with ThreadPoolExecutor(1) as pool:
        with transaction(sessions) as joiner:
            queue.enqueue(joiner, digits.id, JobKind.UNLEARN)
            claim = pool.submit(claim_unlearning, kernel, digits)
            await_blocked(sessions)
            assert not claim.done()
        assert claim.result(10) is not None


def test_joining_waits_for_a_claim_under_way_and_makes_a_new_job(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    first = kernel.ask_samples(digits, 1)
    with ThreadPoolExecutor(1) as pool:
        with sessions() as worker:
            job_id = worker.scalar(select(Job.id).where(Job.kind == JobKind.UNLEARN))
            assert job_id is not None
            lease = leases.claim(worker, job_id, "worker", 30)
            assert lease is not None
            late = pool.submit(kernel.ask_samples, digits, 2)
            await_blocked(sessions)
            worker.commit()
        late_request = late.result(10)

    assert [job.state for job in kernel.jobs(digits)] == [JobState.RUNNING, JobState.READY]
    with transaction(sessions) as session:
        assignment = runs.take(session, lease)
    assert assignment is not None
    assert assignment.positions == (1, 2), "whoever is committed by then is taken along"
    assert {kernel.request(one.id).status for one in (first, late_request)} == {Status.RUNNING}


def test_no_request_is_left_without_a_job_however_intake_and_claims_race(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    is_over = Event()

    def produce(number: int) -> None:
        for turn in range(NUM_REQUESTS):
            kernel.ask_samples(digits, number * NUM_REQUESTS + turn)

    def work() -> int:
        num_runs = 0
        while True:
            is_last = is_over.is_set()
            lease = kernel.claim(digits)
            if lease is None:
                if is_last:
                    return num_runs
                continue
            num_runs += serve_shortly(sessions, lease)

    with ThreadPoolExecutor(NUM_PRODUCERS + NUM_WORKERS) as pool:
        workers = [pool.submit(work) for _ in range(NUM_WORKERS)]
        for producer in [pool.submit(produce, number) for number in range(NUM_PRODUCERS)]:
            producer.result(60)
        is_over.set()
        num_runs = sum(worker.result(60) for worker in workers)

    with transaction(sessions) as session:
        statuses = list(session.scalars(select(ForgetRequest.status)))
    assert statuses == [Status.NEEDS_REVIEW] * NUM_PRODUCERS * NUM_REQUESTS
    assert {job.state for job in kernel.jobs(digits)} == {JobState.DONE}
    assert 1 <= num_runs <= NUM_PRODUCERS * NUM_REQUESTS


def serve_shortly(sessions: Sessions, lease: Lease) -> int:
    """Take what waits and hand it to a person at once; return how many runs that were."""
    with transaction(sessions) as session:
        assignment = runs.take(session, lease)
    if assignment is None:
        return 0
    with transaction(sessions) as session:
        runs.refuse(session, lease, assignment.run_id)
    return 1


def claim_unlearning(kernel: Kernel, model: ReadyModel) -> Lease | None:
    """Claim a model's job from another thread."""
    return kernel.claim(model)
