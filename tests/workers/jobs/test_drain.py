"""Leaving: when a worker may still work, and what its sightings say of it."""

import os
import time
from pathlib import Path

import pytest

from service.core.db.base import new_id
from service.core.db.session import Sessions
from service.core.fleet.models import MemberState
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from workers.engine.client import AlwaysOn, Engine
from workers.engine.messages import Holdings
from workers.jobs.context import Context
from workers.jobs.drain import Drain, Drained, Draining
from workers.jobs.presence import Presence, memory_of
from workers.settings import WorkerSettings


def is_over(drain: Drain) -> bool:
    try:
        Draining(AlwaysOn(), drain).check()
    except Drained:
        return True
    return False


def test_a_worker_that_nobody_stopped_goes_on() -> None:
    drain = Drain(seconds=0.0)

    assert not drain.is_asked and not is_over(drain)


def test_the_job_at_hand_has_its_time_and_no_more() -> None:
    drain = Drain(seconds=0.05)

    drain.begin()

    assert drain.is_asked and not is_over(drain)
    time.sleep(0.06)
    assert is_over(drain)


def test_asked_twice_it_does_not_wait() -> None:
    drain = Drain(seconds=3600.0)
    drain.begin()

    drain.begin()

    assert is_over(drain)


def test_a_lost_lease_is_told_before_a_drain() -> None:
    class Lost:
        def check(self) -> None:
            raise KeyError("lost")

    drain = Drain()
    drain.begin()

    with pytest.raises(KeyError, match="lost"):
        Draining(Lost(), drain).check()


def test_a_sighting_says_what_is_at_hand_and_what_is_held(
    sessions: Sessions, store: FilesystemStore, signatory: Signatory, database_url: str, tmp_path: Path
) -> None:
    settings = WorkerSettings(database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1")
    engine = Engine(deadline_seconds=1.0)
    context = Context(settings, sessions, store, engine, signatory, owner="me", methods={"ssd": "2"})
    presence, job_id = Presence(context, pid=7), new_id()
    engine.holdings = Holdings(held_models=2, held_bytes=10)

    assert presence.sighting().state == MemberState.IDLE
    with context.drain.working_on(job_id):
        assert (presence.sighting().state, presence.sighting().job_id) == (MemberState.RUNNING, job_id)
        context.drain.begin()
        told = presence.sighting()

    assert (told.state, told.owner, told.device) == (MemberState.DRAINING, "me", "cpu")
    assert told.facts == {"methods": {"ssd": "2"}, "held_models": 2, "held_bytes": 10}
    assert presence.sighting().job_id is None


def test_memory_is_told_in_bytes_and_not_of_a_process_that_is_gone() -> None:
    told = memory_of(os.getpid())

    assert 1 << 20 < told["engine_bytes"] <= told["engine_peak_bytes"] < 1 << 40
    assert memory_of(2**22 + 1) == {}
