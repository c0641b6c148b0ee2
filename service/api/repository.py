"""The queries that only the API asks: what a page of a list refers to, and the counts behind the metrics."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from service.core import clock
from service.core.ledger.models import LedgerEntry
from service.core.lineage.models import Dataset
from service.core.queue.models import Job, JobState
from service.core.registry.models import Candidate, Model
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import CLOSED, Status

CENSUS_MILLISECONDS = 2000
OPEN_JOBS = (JobState.READY, JobState.RUNNING, JobState.PARKED)


@dataclass(frozen=True)
class Census:
    """How many of what there are at one moment.

    Attributes:
        requests: Requests in each state.
        overdue: Open requests past their due date.
        queue_age_seconds: Age of the oldest request that waits for a first run; 0 when none does. Those that
            an interim version serves wait as long as their policy says.
        jobs: Jobs that are ready, running and parked.
        unsequenced: Ledger entries that have no place in the tree yet.
    """

    requests: Mapping[str, int]
    overdue: int
    queue_age_seconds: float
    jobs: Mapping[str, int]
    unsequenced: int


def models_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Model]:
    """Return the models with these ids."""
    return {row.id: row for row in session.scalars(select(Model).where(Model.id.in_(ids)))}


def datasets_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Dataset]:
    """Return the datasets with these ids."""
    return {row.id: row for row in session.scalars(select(Dataset).where(Dataset.id.in_(ids)))}


def runs_by_id(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Run]:
    """Return the runs with these ids."""
    return {row.id: row for row in session.scalars(select(Run).where(Run.id.in_(ids)))} if ids else {}


def candidates_by_run(session: Session, run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Candidate]:
    """Return what runs have made and a person may still accept, by run."""
    if not run_ids:
        return {}
    query = select(Candidate).where(Candidate.run_id.in_(run_ids))
    return {row.run_id: row for row in session.scalars(query)}


def census(session: Session) -> Census:
    """Count, each count within a time limit.

    Raises:
        sqlalchemy.exc.OperationalError: A count took longer than it may.
    """
    session.execute(text(f"SET LOCAL statement_timeout = {CENSUS_MILLISECONDS}"))
    now = clock.now()
    statuses = _tally(session, select(ForgetRequest.status, func.count()).group_by(ForgetRequest.status))
    jobs = _tally(
        session, select(Job.state, func.count()).where(Job.state.in_(OPEN_JOBS)).group_by(Job.state)
    )
    oldest = session.scalar(
        select(func.min(ForgetRequest.received_at)).where(
            ForgetRequest.status == Status.QUEUED, ForgetRequest.interim.is_(None)
        )
    )
    overdue = select(func.count(ForgetRequest.id)).where(
        ForgetRequest.due_at < now, ForgetRequest.status.not_in(CLOSED)
    )
    unsequenced = select(func.count(LedgerEntry.id)).where(LedgerEntry.leaf_index.is_(None))
    return Census(
        requests={status: statuses.get(status, 0) for status in Status},
        overdue=session.scalars(overdue).one(),
        queue_age_seconds=(now - oldest).total_seconds() if oldest else 0.0,
        jobs={state: jobs.get(state, 0) for state in OPEN_JOBS},
        unsequenced=session.scalars(unsequenced).one(),
    )


def _tally(session: Session, query: Select[str, int]) -> dict[str, int]:
    return {name: count for name, count in session.execute(query)}
