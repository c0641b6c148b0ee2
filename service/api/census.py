"""What is counted for `/metrics` when somebody asks: requests, jobs, backlogs, the ledger, the fleet.

Every query looks at what is open only, by an index made for it: a scrape costs what waits, not what was ever
done. What must be told of everything that ever happened are counters (`service.core.counting`). The one
exception, how many requests are closed, is a tally of its own (`closed`), taken seldom.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Select, TextClause, func, select, text
from sqlalchemy.orm import Session, aliased

from service.core import clock
from service.core.counting import repository as counting
from service.core.counting.repository import Counter, Totals
from service.core.fleet import repository as fleet
from service.core.fleet.models import Member
from service.core.ledger import entries
from service.core.ledger.models import LedgerCheckpoint, LedgerEntry
from service.core.queue.models import Job, JobState
from service.core.registry.models import Version, VersionFile
from service.core.requests.models import ForgetRequest
from service.core.requests.states import CLOSED, Status

LIMIT_MILLISECONDS = 2000
SOON = timedelta(days=7)
OPEN_JOBS = (JobState.READY, JobState.RUNNING, JobState.PARKED)

# Written out, as the indexes' own conditions are: behind a parameter the planner would not know them again.
IS_OPEN = text("forget_requests.status NOT IN ('completed', 'rejected', 'cancelled')")
IS_WAITING = text("jobs.state IN ('ready', 'running')")
IS_PARKED = text("jobs.state = 'parked'")
IS_UNPURGED = text("versions.withdrawn_at IS NOT NULL AND versions.purged_at IS NULL")


@dataclass(frozen=True)
class Backlog:
    """Withdrawn versions whose files are still there.

    Attributes:
        versions: How many.
        files_bytes: Of their files; one that a living version shares is counted, too.
        age_seconds: Since the first of them was withdrawn.
    """

    versions: int = 0
    files_bytes: int = 0
    age_seconds: float = 0.0


@dataclass(frozen=True)
class LedgerState:
    """How far the sequencer is behind.

    Attributes:
        unsequenced: Entries that have no place in the tree yet.
        unsequenced_age_seconds: Of the first of them; 0 without any.
        checkpoint_age_seconds: Since the newest checkpoint was signed; None for an empty log.
    """

    unsequenced: int
    unsequenced_age_seconds: float
    checkpoint_age_seconds: float | None


@dataclass(frozen=True)
class Census:
    """How many of what there are at one moment.

    Attributes:
        requests: Open requests in each state.
        overdue: Open requests past their due date.
        due_soon: Open requests due within seven days.
        queue_age_seconds: Age of the oldest request that waits for a first run; 0 when none does. Those that
            an interim version serves wait as long as their policy says.
        jobs: Jobs that are ready, running and parked.
        unresolved: Parked jobs without a later success of the same kind: those a person must look at.
        backlog: What waits to be purged.
        ledger: How far the sequencer is behind.
        fleet: Workers and relays seen lately.
        counters: Every counter's value.
    """

    requests: Mapping[str, int]
    overdue: int
    due_soon: int
    queue_age_seconds: float
    jobs: Mapping[str, int]
    unresolved: int
    backlog: Backlog
    ledger: LedgerState
    fleet: Sequence[Member] = ()
    counters: Mapping[Counter, Totals] = field(default_factory=dict)


def take(session: Session) -> Census:
    """Count, each count within a time limit.

    Raises:
        sqlalchemy.exc.OperationalError: A count took longer than it may.
    """
    limit_time(session)
    now = clock.now()
    requests: defaultdict[str, int] = defaultdict(int)
    overdue, due_soon, oldest = 0, 0, None
    for row in session.execute(_open_requests()):
        requests[row.status] = row.num
        overdue += row.overdue
        due_soon += row.due_soon
        if row.status == Status.QUEUED:
            oldest = row.oldest
    jobs = {state: count for state, count in session.execute(_jobs(IS_WAITING))}
    jobs |= {state: count for state, count in session.execute(_jobs(IS_PARKED))}
    return Census(
        requests={status: requests[status] for status in Status if status not in CLOSED},
        overdue=overdue,
        due_soon=due_soon,
        queue_age_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        jobs={state: jobs.get(state, 0) for state in OPEN_JOBS},
        unresolved=session.scalars(_unresolved()).one() if jobs.get(JobState.PARKED) else 0,
        backlog=_backlog(session),
        ledger=_ledger(session),
        fleet=fleet.present(session),
        counters=counting.totals(session),
    )


def closed(session: Session) -> dict[str, int]:
    """Count the requests that are closed, which looks at every request there ever was.

    Raises:
        sqlalchemy.exc.OperationalError: It took longer than it may.
    """
    limit_time(session)
    found = {
        status: count
        for status, count in session.execute(
            select(ForgetRequest.status, func.count())
            .where(ForgetRequest.status.in_(CLOSED))
            .group_by(ForgetRequest.status)
        )
    }
    return {status: found.get(status, 0) for status in sorted(CLOSED)}


def limit_time(session: Session) -> None:
    """Have the database give up a statement of this transaction that takes too long for a scrape."""
    session.execute(text(f"SET LOCAL statement_timeout = {LIMIT_MILLISECONDS}"))


def _open_requests() -> Select[Status, int, int, int, datetime]:
    now, due = func.now(), ForgetRequest.due_at
    return (
        select(
            ForgetRequest.status,
            func.count().label("num"),
            func.count().filter(due < now).label("overdue"),
            func.count().filter(due >= now, due < now + SOON).label("due_soon"),
            func.min(ForgetRequest.received_at).filter(ForgetRequest.interim.is_(None)).label("oldest"),
        )
        .where(IS_OPEN)
        .group_by(ForgetRequest.status)
    )


def _jobs(condition: TextClause) -> Select[JobState, int]:
    return select(Job.state, func.count()).where(condition).group_by(Job.state)


def _unresolved() -> Select[int]:
    later = aliased(Job)
    succeeded = select(later.id).where(
        later.model_id == Job.model_id,
        later.kind == Job.kind,
        later.state == JobState.DONE,
        later.position > Job.position,
    )
    return select(func.count(Job.id)).where(IS_PARKED, ~succeeded.exists())


def _backlog(session: Session) -> Backlog:
    versions, oldest = session.execute(
        select(func.count(Version.id), func.min(Version.withdrawn_at)).where(IS_UNPURGED)
    ).one()
    if oldest is None:
        return Backlog()
    files = select(func.coalesce(func.sum(VersionFile.size), 0)).join(
        Version, Version.id == VersionFile.version_id
    )
    return Backlog(
        versions,
        int(session.scalars(files.where(IS_UNPURGED)).one()),
        max(0.0, (clock.now() - oldest).total_seconds()),
    )


def _ledger(session: Session) -> LedgerState:
    is_waiting = LedgerEntry.leaf_index.is_(None)
    num_waiting = session.scalars(select(func.count(LedgerEntry.id)).where(is_waiting)).one()
    first = session.scalar(select(LedgerEntry.entry).where(is_waiting).order_by(LedgerEntry.id).limit(1))
    signed_at = session.scalar(
        select(LedgerCheckpoint.created_at).order_by(LedgerCheckpoint.size.desc()).limit(1)
    )
    now = clock.now()
    return LedgerState(
        unsequenced=num_waiting,
        unsequenced_age_seconds=max(0.0, (now - entries.parse(first).at).total_seconds()) if first else 0.0,
        checkpoint_age_seconds=max(0.0, (now - signed_at).total_seconds()) if signed_at else None,
    )
