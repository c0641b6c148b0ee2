"""The doorbell: it rings at commit and not before, and a sweep rings for whatever was missed."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import update

from service.core import clock
from service.core.db.engine import conninfo
from service.core.db.session import Sessions, transaction
from service.core.queue import doorbell, endings, leases
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel

Bells = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def bells(database_url: str) -> Iterator[Bells]:
    """A relay's ear: hears jobs and publications."""
    with psycopg.connect(conninfo(database_url), autocommit=True) as connection:
        connection.execute(f"LISTEN {doorbell.JOBS_CHANNEL}")
        connection.execute(f"LISTEN {doorbell.PUBLISHED_CHANNEL}")
        yield connection


class TestRing:
    def test_bell_rings_at_commit_and_not_before(
        self, sessions: Sessions, digits: ReadyModel, bells: Bells
    ) -> None:
        with transaction(sessions) as session:
            job_id = queue.enqueue(session, digits.id, JobKind.UNLEARN)
            assert heard(bells) == []

        assert heard(bells) == [(doorbell.JOBS_CHANNEL, str(job_id))]

    def test_transaction_that_fails_rings_nothing(
        self, sessions: Sessions, digits: ReadyModel, bells: Bells
    ) -> None:
        with pytest.raises(RuntimeError), transaction(sessions) as session:
            queue.enqueue(session, digits.id, JobKind.UNLEARN)
            raise RuntimeError

        assert heard(bells) == []

    def test_joining_a_job_rings_for_it_again(
        self, sessions: Sessions, digits: ReadyModel, bells: Bells
    ) -> None:
        for _ in range(2):
            with transaction(sessions) as session:
                job_id = queue.enqueue(session, digits.id, JobKind.UNLEARN)
            assert heard(bells) == [(doorbell.JOBS_CHANNEL, str(job_id))]

    def test_end_of_a_job_rings_for_the_models_next(
        self, sessions: Sessions, digits: ReadyModel, bells: Bells
    ) -> None:
        with transaction(sessions) as session:
            first = queue.enqueue(session, digits.id, JobKind.UNLEARN)
            second = queue.enqueue(session, digits.id, JobKind.PURGE)
            lease = leases.claim(session, first, "worker", 30)
            assert lease is not None
        heard(bells)

        with transaction(sessions) as session:
            endings.finish(session, lease)

        assert heard(bells) == [(doorbell.JOBS_CHANNEL, str(second))]

    def test_publication_tells_the_models_name(
        self, kernel: Kernel, digits: ReadyModel, bells: Bells
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        assert (doorbell.PUBLISHED_CHANNEL, "digits") in heard(bells)


class TestSweep:
    def test_ready_job_is_rung_for_once_until_it_was_quiet_for_long(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            job_id = queue.enqueue(session, digits.id, JobKind.UNLEARN)

        assert swept(sessions) == [job_id]
        assert swept(sessions, quiet_seconds=60) == []
        assert swept(sessions, quiet_seconds=-1) == [job_id]

    def test_busy_model_is_left_in_peace(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            first = queue.enqueue(session, digits.id, JobKind.UNLEARN)
            queue.enqueue(session, digits.id, JobKind.PURGE)
            leases.claim(session, first, "worker", 30)

        assert swept(sessions) == []

    def test_retry_is_rung_for_when_it_is_due(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            job_id = queue.enqueue(session, digits.id, JobKind.UNLEARN)
            lease = leases.claim(session, job_id, "worker", 30)
            assert lease is not None
            endings.give_back(session, lease, "later")
        assert swept(sessions) == []

        with transaction(sessions) as session:
            session.execute(update(Job).values(not_before=clock.now() - timedelta(seconds=1)))
        assert swept(sessions) == [job_id]

    def test_two_relays_do_not_ring_for_the_same_job(
        self, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        letters = make_ready("letters", "letters")
        with transaction(sessions) as session:
            jobs = {queue.enqueue(session, model.id, JobKind.UNLEARN) for model in (digits, letters)}

        with transaction(sessions) as one, transaction(sessions) as two:
            mine = queue.to_ring(one, 0.0, limit=1)
            yours = queue.to_ring(two, 0.0)

        assert [len(mine), len(yours)] == [1, 1]
        assert {*mine, *yours} == jobs


def swept(sessions: Sessions, quiet_seconds: float = 0) -> list[UUID]:
    with transaction(sessions) as session:
        return list(queue.to_ring(session, quiet_seconds))


def heard(bells: Bells) -> list[tuple[str, str]]:
    """Everything that has rung so far."""
    return [(bell.channel, bell.payload) for bell in bells.notifies(timeout=0.1)]
