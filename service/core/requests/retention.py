"""What is deleted when nobody can ask for it any more: old idempotency keys, and ended jobs that left no run.

What is told to people or proves something is never deleted here: requests, runs, certificates, the ledger,
parked jobs. docs/scale.md names what grows for ever. Deleting a job changes no order: only ready jobs wait.
"""

from datetime import timedelta

from sqlalchemy import Delete, delete, select
from sqlalchemy.orm import Session, aliased

from service.core import clock
from service.core.queue.models import Job, JobState
from service.core.requests.models import IdempotencyKey, Run

KEY_DAYS = 30
"""A caller who asks again with the same key for so long is given the same request."""
JOB_DAYS = 30
BATCH = 1000
"""Rows a call: a transaction that deletes stays short, and the next call goes on."""


def prune(session: Session) -> int:
    """Delete a batch of each kind, if there is one, and return how many rows those were.

    Two relays may prune at once; rows that another holds are left to it.
    """
    now = clock.now()
    old_keys = (
        select(IdempotencyKey.principal, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < now - timedelta(days=KEY_DAYS))
        .order_by(IdempotencyKey.created_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("old_keys")
    )
    job = aliased(Job)
    old_jobs = (
        select(job.id)
        .where(
            job.state == JobState.DONE,
            job.finished_at < now - timedelta(days=JOB_DAYS),
            ~select(Run.id).where(Run.job_id == job.id).exists(),
        )
        .order_by(job.finished_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("old_jobs")
    )
    return _deleted(
        session,
        delete(IdempotencyKey).where(
            IdempotencyKey.principal == old_keys.c.principal, IdempotencyKey.key == old_keys.c.key
        ),
    ) + _deleted(session, delete(Job).where(Job.id == old_jobs.c.id))


def _deleted(session: Session, statement: Delete) -> int:
    found = session.connection().execute(statement)
    return found.rowcount
