"""What nobody can ask for any more goes; what tells people something stays."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update

from service.core import clock
from service.core.db.base import new_id
from service.core.db.session import Sessions, transaction
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind, JobState
from service.core.requests import retention
from service.core.requests.models import IdempotencyKey, Run
from tests.fixtures.registry import ReadyModel


def keep_keys(sessions: Sessions, *days: int) -> None:
    with transaction(sessions) as session:
        session.add_all(
            IdempotencyKey(
                principal="p",
                key=f"{age} days",
                fingerprint="f" * 64,
                request_id=new_id(),
                created_at=clock.now() - timedelta(days=age),
            )
            for age in days
        )


def ended_job(
    sessions: Sessions, model: ReadyModel, state: JobState, *, days: int, leaves_run: bool = False
) -> Job:
    with transaction(sessions) as session:
        job_id = queue.enqueue(session, model.id, JobKind.UNLEARN)
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(state=state, attempts=1, finished_at=clock.now() - timedelta(days=days))
        )
        if leaves_run:
            session.add(Run(model_id=model.id, job_id=job_id, epoch=1, base_version=1, seed=1))
        return session.get_one(Job, job_id)


def left(sessions: Sessions, column: object) -> Sequence[object]:
    with transaction(sessions) as session:
        return session.scalars(select(column).order_by(column)).all()  # type: ignore[call-overload, no-any-return]


def test_keys_are_kept_for_thirty_days(sessions: Sessions) -> None:
    keep_keys(sessions, 0, 29, 31, 400)

    with transaction(sessions) as session:
        num_pruned = retention.prune(session)

    assert num_pruned == 2
    assert left(sessions, IdempotencyKey.key) == ["0 days", "29 days"]


def test_old_jobs_go_unless_they_are_parked_or_left_a_run(sessions: Sessions, digits: ReadyModel) -> None:
    ended_job(sessions, digits, JobState.DONE, days=31)
    kept = [
        ended_job(sessions, digits, JobState.DONE, days=29),
        ended_job(sessions, digits, JobState.DONE, days=31, leaves_run=True),
        ended_job(sessions, digits, JobState.PARKED, days=31),
    ]
    with transaction(sessions) as session:
        waiting = queue.enqueue(session, digits.id, JobKind.UNLEARN)

    with transaction(sessions) as session:
        num_pruned = retention.prune(session)

    assert num_pruned == 1
    assert left(sessions, Job.id) == sorted([waiting, *(job.id for job in kept)])


def test_a_batch_is_bounded_and_the_next_call_goes_on(sessions: Sessions) -> None:
    keep_keys(sessions, *range(31, 36))
    retention_batch, retention.BATCH = retention.BATCH, 3
    try:
        found = []
        for _ in range(3):
            with transaction(sessions) as session:
                found.append(retention.prune(session))
    finally:
        retention.BATCH = retention_batch

    assert found == [3, 2, 0]
