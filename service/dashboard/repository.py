"""The dashboard's own queries: counts and joins that nothing else asks for; all of them only read."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from service.core import clock
from service.core.access.models import ApiKey
from service.core.ledger import entries
from service.core.ledger.models import Certificate, LedgerCheckpoint, LedgerEntry
from service.core.lineage.models import Tombstone
from service.core.queue.models import Job, JobState
from service.core.registry.models import Model
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import CLOSED, Status


@dataclass(frozen=True)
class LedgerHealth:
    """How the ledger is.

    Attributes:
        num_sequenced: Entries that the newest checkpoint covers.
        signed_at: When the newest checkpoint was signed; None for an empty log.
        num_waiting: Entries that wait for their place in the tree.
        waiting_since: When the first of those was written; None if none waits.
    """

    num_sequenced: int
    signed_at: datetime | None
    num_waiting: int
    waiting_since: datetime | None


def snapshot(session: Session) -> str:
    """Return a text that changes whenever a transaction wrote anything; costs no look at any table."""
    return str(session.execute(select(func.pg_current_snapshot())).scalar_one())


def live_key(session: Session, key_id: uuid.UUID) -> ApiKey | None:
    """Return an API key that was not revoked, or None."""
    return session.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)))


def status_counts(session: Session) -> dict[Status, int]:
    """Return how many requests are in each state that any is in."""
    rows = session.execute(select(ForgetRequest.status, func.count()).group_by(ForgetRequest.status))
    return {Status(status): count for status, count in rows}


def num_overdue(session: Session) -> int:
    """Return how many open requests are past their due date."""
    return session.scalars(
        select(func.count())
        .select_from(ForgetRequest)
        .where(ForgetRequest.due_at < clock.now(), ForgetRequest.status.not_in(CLOSED))
    ).one()


def queued_by_model(session: Session) -> dict[uuid.UUID, int]:
    """Return how many requests wait for each model's next run."""
    rows = session.execute(
        select(ForgetRequest.model_id, func.count())
        .where(ForgetRequest.status == Status.QUEUED)
        .group_by(ForgetRequest.model_id)
    )
    return {model_id: count for model_id, count in rows}


def jobs_of_note(session: Session) -> Sequence[Job]:
    """Return the jobs that wait, run, or were parked and have no later success of the same kind; in order."""
    later = aliased(Job)
    succeeded_since = select(later.id).where(
        later.model_id == Job.model_id,
        later.kind == Job.kind,
        later.state == JobState.DONE,
        later.position > Job.position,
    )
    return session.scalars(
        select(Job)
        .where(
            Job.state.in_((JobState.READY, JobState.RUNNING))
            | ((Job.state == JobState.PARKED) & ~succeeded_since.exists())
        )
        .order_by(Job.position)
    ).all()


def open_runs(session: Session) -> Sequence[Run]:
    """Return the runs under way."""
    return session.scalars(select(Run).where(Run.finished_at.is_(None)).order_by(Run.id)).all()


def runs_by_id(session: Session, run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Run]:
    """Return runs by id."""
    return {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(run_ids)))}


def model_names(session: Session) -> dict[uuid.UUID, str]:
    """Return the name of every model, in alphabetical order."""
    return {row.id: row.name for row in session.execute(select(Model.id, Model.name).order_by(Model.name))}


def num_forgotten_samples(session: Session, model_id: uuid.UUID) -> int:
    """Return how many samples a model must never learn again."""
    return session.scalars(
        select(func.count()).select_from(Tombstone).where(Tombstone.model_id == model_id)
    ).one()


def ledger_health(session: Session) -> LedgerHealth:
    """Return how the ledger is."""
    head = session.execute(
        select(LedgerCheckpoint.size, LedgerCheckpoint.created_at)
        .order_by(LedgerCheckpoint.size.desc())
        .limit(1)
    ).one_or_none()
    is_waiting = LedgerEntry.leaf_index.is_(None)
    first = session.scalar(select(LedgerEntry.entry).where(is_waiting).order_by(LedgerEntry.id).limit(1))
    return LedgerHealth(
        num_sequenced=head.size if head else 0,
        signed_at=head.created_at if head else None,
        num_waiting=session.scalars(select(func.count()).select_from(LedgerEntry).where(is_waiting)).one(),
        waiting_since=entries.parse(first).at if first else None,
    )


def leaf_of(session: Session, certificate: Certificate) -> int | None:
    """Return the place in the tree of a certificate's entry; None while it waits for one."""
    return session.scalar(select(LedgerEntry.leaf_index).where(LedgerEntry.id == certificate.entry_id))
