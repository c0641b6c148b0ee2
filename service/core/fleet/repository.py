"""The queries on the fleet: note a sighting, take leave, forget who fell silent, list who is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.db.moments import moment
from service.core.fleet.models import Member, MemberState, Role

SIGHTING_SECONDS = 3.0
"""How often a process says that it is there."""

PRESENT_SECONDS = 15.0
"""A process that was not seen for longer is not there: four sightings were missed."""

FORGOTTEN_SECONDS = 3600.0
"""The row of a process that was not seen for longer is dropped; until then it tells what there was."""


@dataclass(frozen=True)
class Sighting:
    """What a process says of itself.

    Attributes:
        owner: Its name in the jobs it claims.
        role: What it does.
        host: Machine or container.
        pid: Process id there.
        device: Where its engine computes; None for a relay.
        state: What it is doing.
        job_id: The job it works on.
        age_seconds: How long it has been there.
        facts: Memory and what it holds, as `Member.facts` lists them.
    """

    owner: str
    role: Role
    host: str
    pid: int
    device: str | None = None
    state: MemberState = MemberState.IDLE
    job_id: UUID | None = None
    age_seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


def note(session: Session, sighting: Sighting) -> None:
    """Write down what a process says of itself, at this moment of the database's clock."""
    now = moment()
    said = {
        "state": sighting.state,
        "job_id": sighting.job_id,
        "seen_at": now,
        "facts": dict(sighting.facts),
    }
    first = {
        "owner": sighting.owner,
        "role": sighting.role,
        "host": sighting.host,
        "pid": sighting.pid,
        "device": sighting.device,
        "started_at": moment(-sighting.age_seconds),
    }
    statement = insert(Member).values(**first, **said)
    session.execute(statement.on_conflict_do_update(index_elements=["owner"], set_=said))


def leave(session: Session, owner: str) -> None:
    """Forget a process that ends in good order."""
    session.execute(delete(Member).where(Member.owner == owner))


def forget_silent(session: Session) -> int:
    """Drop the rows of processes that have not been seen for long and return how many those were."""
    silent = delete(Member).where(Member.seen_at < moment(-FORGOTTEN_SECONDS)).returning(Member.owner)
    return len(session.scalars(silent).all())


def present(session: Session) -> Sequence[Member]:
    """Return the processes seen lately, workers first, by the time of their start."""
    return session.scalars(
        select(Member)
        .where(Member.seen_at > moment(-PRESENT_SECONDS))
        .order_by(Member.role.desc(), Member.started_at, Member.owner)
    ).all()


def num_present(session: Session) -> dict[Role, int]:
    """Return how many processes of each role were seen lately."""
    rows = session.execute(
        select(Member.role, func.count())
        .where(Member.seen_at > moment(-PRESENT_SECONDS))
        .group_by(Member.role)
    )
    counts = {Role(role): count for role, count in rows}
    return {role: counts.get(role, 0) for role in Role}
