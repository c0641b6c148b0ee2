"""Workers as the lines of a list: name, device, what each does, since when, and the memory it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.core.fleet.models import Member, MemberState, Role
from service.core.queue.models import Job
from service.dashboard import figures

STEP_BYTES = 100_000_000
"""Memory is shown in steps: a page must not change with every heartbeat."""

DOES: Mapping[MemberState, str] = {
    MemberState.IDLE: "idle",
    MemberState.RUNNING: "at work",
    MemberState.DRAINING: "leaving",
}


@dataclass(frozen=True)
class WorkerRow:
    """One worker in the list."""

    name: str
    device: str
    does: str
    model: str | None
    """What it works on."""
    since: datetime
    memory: str | None
    """Of its engine, and of its device where it has one of its own."""
    is_leaving: bool


@dataclass(frozen=True)
class Fleet:
    """Who is there.

    Attributes:
        workers: Workers seen lately.
        has_relay: Whether a relay was.
    """

    workers: tuple[WorkerRow, ...]
    has_relay: bool


def fleet_of(members: Sequence[Member], jobs: Sequence[Job], names: Mapping[UUID, str]) -> Fleet:
    """Return who is there as rows.

    Args:
        members: Workers and relays seen lately.
        jobs: The jobs that run.
        names: Of the models, by id.
    """
    model_of = {job.id: names.get(job.model_id) for job in jobs}
    return Fleet(
        tuple(_row(one, model_of) for one in members if one.role == Role.WORKER),
        any(one.role == Role.RELAY for one in members),
    )


def _row(member: Member, model_of: Mapping[UUID, str | None]) -> WorkerRow:
    return WorkerRow(
        name=member.owner,
        device=member.device or "",
        does=DOES[MemberState(member.state)],
        model=model_of.get(member.job_id) if member.job_id else None,
        since=member.started_at,
        memory=_memory(member),
        is_leaving=member.state == MemberState.DRAINING,
    )


def _memory(member: Member) -> str | None:
    facts = member.facts
    if "gpu_used_bytes" in facts:
        used, total = figures.size(_stepped(facts["gpu_used_bytes"])), figures.size(facts["gpu_total_bytes"])
        return f"{used} of {total} on the device"
    if "engine_bytes" in facts:
        return figures.size(_stepped(facts["engine_bytes"]))
    return None


def _stepped(num_bytes: int) -> int:
    """Round up to the next step."""
    return -(-num_bytes // STEP_BYTES) * STEP_BYTES
