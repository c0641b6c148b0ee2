"""The fleet: who says that it is there, and for how long it is believed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from service.core.db.session import Sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Member, MemberState, Role
from service.core.fleet.repository import Sighting

WORKER = Sighting("gpu-1:7", Role.WORKER, "gpu-1", 7, device="cuda", age_seconds=60.0)


def note(sessions: Sessions, sighting: Sighting) -> None:
    with transaction(sessions) as session:
        fleet.note(session, sighting)


def was_seen(sessions: Sessions, owner: str, seconds_ago: float) -> None:
    with transaction(sessions) as session:
        ago = func.clock_timestamp() - timedelta(seconds=seconds_ago)
        session.execute(update(Member).where(Member.owner == owner).values(seen_at=ago))


def test_a_second_sighting_renews_the_first_and_keeps_the_start(sessions: Sessions) -> None:
    note(sessions, WORKER)
    with transaction(sessions) as session:
        (first,) = fleet.present(session)

    note(sessions, replace(WORKER, state=MemberState.DRAINING, age_seconds=61.0, facts={"engine_bytes": 5}))

    with transaction(sessions) as session:
        (second,) = fleet.present(session)
    assert (second.state, second.facts) == (MemberState.DRAINING, {"engine_bytes": 5})
    assert second.started_at == first.started_at
    assert second.seen_at > first.seen_at
    assert (first.seen_at - first.started_at).total_seconds() == pytest.approx(60.0, abs=1.0)


def test_who_fell_silent_is_not_there_and_is_dropped_later(sessions: Sessions) -> None:
    note(sessions, WORKER)
    was_seen(sessions, WORKER.owner, fleet.PRESENT_SECONDS + 1)

    with transaction(sessions) as session:
        assert fleet.present(session) == []
        assert fleet.num_present(session) == {Role.WORKER: 0, Role.RELAY: 0}
        assert fleet.forget_silent(session) == 0

    was_seen(sessions, WORKER.owner, fleet.FORGOTTEN_SECONDS + 1)
    with transaction(sessions) as session:
        assert fleet.forget_silent(session) == 1
        assert session.scalar(select(func.count()).select_from(Member)) == 0


def test_who_takes_leave_is_gone_at_once(sessions: Sessions) -> None:
    note(sessions, WORKER)
    note(sessions, Sighting("gpu-1:8", Role.RELAY, "gpu-1", 8))

    with transaction(sessions) as session:
        fleet.leave(session, WORKER.owner)

    with transaction(sessions) as session:
        assert fleet.num_present(session) == {Role.WORKER: 0, Role.RELAY: 1}
