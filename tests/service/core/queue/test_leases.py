"""Claims: in order, one runner a model, and a lease whose epoch keeps zombies out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.session import Sessions, transaction
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from tests.fixtures.locks import await_blocked
from tests.fixtures.registry import MakeReady, ReadyModel

ROUNDS = 15


class TestClocks:
    @pytest.mark.parametrize("hours", [-1, 1])
    def test_a_worker_whose_clock_is_wrong_holds_its_lease_no_longer_and_no_shorter(
        self, sessions: Sessions, digits: ReadyModel, monkeypatch: pytest.MonkeyPatch, hours: int
    ) -> None:
        job_id = enqueue(sessions, digits)
        true_now = clock.now
        with monkeypatch.context() as wrong:
            wrong.setattr(clock, "now", lambda: true_now() + timedelta(hours=hours))
            lease = claimed(sessions, job_id)
            with transaction(sessions) as session:
                leases.heartbeat(session, lease, 30.0)

        with transaction(sessions) as session:
            assert endings.expired(session) == []
            session.execute(update(Job).values(lease_until=Job.lease_until - timedelta(seconds=31)))
            assert [each.job_id for each in endings.expired(session)] == [job_id]


class TestOrder:
    def test_jobs_of_a_model_are_claimed_in_the_order_they_came(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        jobs = [enqueue(sessions, digits, kind) for kind in (JobKind.PURGE, JobKind.UNLEARN, JobKind.PREPARE)]

        for expected, bell in zip(jobs, reversed(jobs), strict=True):
            lease = claimed(sessions, bell)
            assert lease.job_id == expected
            finish(sessions, lease)

    def test_a_refresh_lets_every_other_job_of_its_model_go_first(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        refresh = enqueue(sessions, digits, JobKind.REFRESH)
        others = [enqueue(sessions, digits, kind) for kind in (JobKind.PURGE, JobKind.UNLEARN)]

        claims = []
        for _ in range(3):
            lease = claimed(sessions, refresh)
            claims.append(lease.job_id)
            finish(sessions, lease)
        assert claims == [*others, refresh]

    def test_what_a_person_accepted_goes_before_every_other_job(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        others = [enqueue(sessions, digits, kind) for kind in (JobKind.PURGE, JobKind.UNLEARN)]
        accepted = enqueue(sessions, digits, JobKind.ACCEPT)

        assert claimed(sessions, others[0]).job_id == accepted

    def test_an_exact_retraining_that_is_not_due_holds_no_place(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with transaction(sessions) as session:
            later = clock.now() + timedelta(days=7)
            exact = queue.enqueue(session, digits.id, JobKind.EXACT, not_before=later)
        other = enqueue(sessions, digits, JobKind.UNLEARN)

        lease = claimed(sessions, exact)
        assert lease.job_id == other
        finish(sessions, lease)
        assert claim(sessions, exact) is None

    def test_an_exact_retraining_is_brought_forward_and_never_put_off(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        now = clock.now()
        for days in (7, 3, 9):
            with transaction(sessions) as session:
                due_at = now + timedelta(days=days)
                exact = queue.enqueue(session, digits.id, JobKind.EXACT, not_before=due_at)
        with transaction(sessions) as session:
            assert session.get_one(Job, exact).not_before == now + timedelta(days=3)

        enqueue(sessions, digits, JobKind.EXACT)

        assert claimed(sessions, exact).kind == JobKind.EXACT

    def test_a_study_lets_even_a_refresh_go_first(self, sessions: Sessions, digits: ReadyModel) -> None:
        study = enqueue(sessions, digits, JobKind.STUDY)
        others = [enqueue(sessions, digits, kind) for kind in (JobKind.PURGE, JobKind.REFRESH)]

        claims = []
        for _ in range(3):
            lease = claimed(sessions, study)
            claims.append(lease.job_id)
            finish(sessions, lease)
        assert claims == [*others, study]

    def test_a_study_knows_whom_it_holds_up(
        self, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        other, third = make_ready("other", "other"), make_ready("third", "third")
        study = claimed(sessions, enqueue(sessions, digits, JobKind.STUDY))
        enqueue(sessions, other, JobKind.STUDY)
        assert not is_held_up(sessions, study)

        claimed(sessions, enqueue(sessions, third))
        enqueue(sessions, third, JobKind.PURGE)
        assert not is_held_up(sessions, study), "the third model's own run is what its purge waits for"

        own = enqueue(sessions, digits)
        assert is_held_up(sessions, study)
        finish(sessions, study)
        study = claimed(sessions, own)
        assert not is_held_up(sessions, study)
        enqueue(sessions, other)
        assert is_held_up(sessions, study), "a worker that studies is not there for another model either"

    def test_bell_for_an_unknown_job_is_ignored(self, sessions: Sessions) -> None:
        assert claim(sessions, uuid4()) is None

    def test_doubled_bell_finds_nothing_to_claim(self, sessions: Sessions, digits: ReadyModel) -> None:
        job_id = enqueue(sessions, digits)
        lease = claimed(sessions, job_id)

        assert claim(sessions, job_id) is None
        finish(sessions, lease)
        assert claim(sessions, job_id) is None

    def test_retry_that_is_not_due_holds_its_place(self, sessions: Sessions, digits: ReadyModel) -> None:
        first = enqueue(sessions, digits)
        with transaction(sessions) as session:
            lease = leases.claim(session, first, "worker", 30)
            assert lease is not None
            endings.give_back(session, lease, "the disk is full")
        second = enqueue(sessions, digits)
        assert second != first

        assert claim(sessions, second) is None
        assert row(sessions, first).not_before is not None

        with transaction(sessions) as session:
            session.execute(update(Job).where(Job.id == first).values(not_before=clock.now()))
        assert claimed(sessions, second).job_id == first

    def test_retries_wait_longer_each_time(self, sessions: Sessions, digits: ReadyModel) -> None:
        job_id = enqueue(sessions, digits)
        waits = []
        for _ in range(3):
            lease = claimed(sessions, job_id)
            before = clock.now()
            with transaction(sessions) as session:
                endings.give_back(session, lease, "no luck")
            not_before = row(sessions, job_id).not_before
            assert not_before is not None
            waits.append((not_before - before).total_seconds())
            with transaction(sessions) as session:
                session.execute(update(Job).values(not_before=None))

        assert waits == pytest.approx([2.0, 4.0, 8.0], abs=0.5)


class TestOneRunner:
    def test_second_job_of_a_busy_model_waits(self, sessions: Sessions, digits: ReadyModel) -> None:
        enqueue(sessions, digits, JobKind.UNLEARN)
        second = enqueue(sessions, digits, JobKind.PURGE)
        lease = claimed(sessions, second)

        assert claim(sessions, second) is None

        finish(sessions, lease)
        assert claimed(sessions, second).job_id == second

    def test_two_models_run_at_once(
        self, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        letters = make_ready("letters", "letters")

        claimed(sessions, enqueue(sessions, digits))
        claimed(sessions, enqueue(sessions, letters))

    def test_database_itself_refuses_a_second_runner(self, sessions: Sessions, digits: ReadyModel) -> None:
        claimed(sessions, enqueue(sessions, digits, JobKind.UNLEARN))
        other = enqueue(sessions, digits, JobKind.PURGE)

        with pytest.raises(IntegrityError, match="uq_jobs_running_model"), transaction(sessions) as session:
            session.execute(update(Job).where(Job.id == other).values(state=JobState.RUNNING))

    def test_of_two_workers_that_race_for_two_jobs_one_wins(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        barrier = Barrier(2)

        def race(job_id: UUID) -> Lease | None:
            barrier.wait()
            return claim(sessions, job_id)

        for _ in range(ROUNDS):
            jobs = [enqueue(sessions, digits, kind) for kind in (JobKind.UNLEARN, JobKind.PURGE)]
            with ThreadPoolExecutor(2) as pool:
                leases = [lease for lease in pool.map(race, jobs) if lease is not None]
            assert [lease.job_id for lease in leases] == jobs[:1]
            finish(sessions, leases[0])
            finish(sessions, claimed(sessions, jobs[1]))

    @pytest.mark.parametrize("is_committed", [True, False])
    def test_claim_waits_for_a_claim_under_way_and_wins_only_if_that_fails(
        self, sessions: Sessions, digits: ReadyModel, is_committed: bool
    ) -> None:
        first = enqueue(sessions, digits, JobKind.UNLEARN)
        second = enqueue(sessions, digits, JobKind.PURGE)

        with ThreadPoolExecutor(1) as pool, sessions() as session:
            assert leases.claim(session, first, "one", 30) is not None
            other = pool.submit(claim, sessions, second)
            await_blocked(sessions)
            if is_committed:
                session.commit()
                assert other.result(10) is None
            else:
                session.rollback()
                lease = other.result(10)
                assert lease is not None
                assert lease.job_id == first


class TestEpoch:
    def test_each_claim_grows_epoch_and_attempts(self, sessions: Sessions, digits: ReadyModel) -> None:
        job_id = enqueue(sessions, digits)
        seen = []
        for _ in range(3):
            lease = claimed(sessions, job_id)
            seen.append((lease.epoch, lease.attempts))
            take_away(sessions, lease)

        assert seen == [(1, 1), (2, 2), (3, 3)]

    def test_heartbeat_extends_the_lease(self, sessions: Sessions, digits: ReadyModel) -> None:
        lease = claimed(sessions, enqueue(sessions, digits))
        before = row(sessions, lease.job_id).lease_until

        with transaction(sessions) as session:
            leases.heartbeat(session, lease, 600)

        after = row(sessions, lease.job_id).lease_until
        assert before is not None
        assert after is not None
        assert after - before > timedelta(seconds=500)

    def test_heartbeat_revives_a_lease_that_nobody_took_away(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        lease = claimed(sessions, enqueue(sessions, digits), lease_seconds=-1)

        with transaction(sessions) as session:
            leases.heartbeat(session, lease, 30)
            assert endings.expired(session) == []

    @pytest.mark.parametrize(
        "write",
        [
            lambda session, lease: leases.heartbeat(session, lease, 30),
            leases.fence,
            endings.finish,
            lambda session, lease: endings.park(session, lease, "reason"),
            lambda session, lease: endings.give_back(session, lease, "reason"),
            lambda session, lease: endings.take_away(session, lease, "reason"),
        ],
        ids=["heartbeat", "fence", "finish", "park", "give_back", "take_away"],
    )
    @pytest.mark.parametrize("fate", ["ready", "claimed", "done"])
    def test_zombie_changes_nothing(
        self, sessions: Sessions, digits: ReadyModel, write: Callable[[Session, Lease], None], fate: str
    ) -> None:
        zombie = claimed(sessions, enqueue(sessions, digits))
        take_away(sessions, zombie)
        if fate != "ready":
            successor = claimed(sessions, zombie.job_id)
            if fate == "done":
                finish(sessions, successor)
        before = everything(sessions)

        with pytest.raises(errors.LeaseLost), transaction(sessions) as session:
            write(session, zombie)

        assert everything(sessions) == before

    def test_fence_holds_a_reaper_off_until_the_writer_commits(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        lease = claimed(sessions, enqueue(sessions, digits), lease_seconds=-1)

        with transaction(sessions) as writer:
            leases.fence(writer, lease)
            with transaction(sessions) as reaper:
                assert endings.expired(reaper) == []
            endings.finish(writer, lease)

        assert row(sessions, lease.job_id).state == JobState.DONE

    def test_parked_job_keeps_its_reason_and_frees_the_model(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        lease = claimed(sessions, enqueue(sessions, digits, JobKind.UNLEARN))
        following = enqueue(sessions, digits, JobKind.PURGE)

        with transaction(sessions) as session:
            endings.park(session, lease, "x" * 900)

        parked = row(sessions, lease.job_id)
        assert (parked.state, parked.reason, parked.lease_until) == (JobState.PARKED, "x" * 500, None)
        assert parked.finished_at is not None
        assert claimed(sessions, following).job_id == following


class TestExpired:
    def test_two_reapers_never_get_the_same_job(
        self, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        letters = make_ready("letters", "letters")
        lost = {
            claimed(sessions, enqueue(sessions, model), lease_seconds=-1).job_id
            for model in (digits, letters)
        }

        with transaction(sessions) as one, transaction(sessions) as two:
            mine = endings.expired(one, limit=1)
            yours = endings.expired(two)
            assert [len(mine), len(yours)] == [1, 1]
            assert {mine[0].job_id, yours[0].job_id} == lost

    def test_living_leases_are_not_expired(self, sessions: Sessions, digits: ReadyModel) -> None:
        claimed(sessions, enqueue(sessions, digits))

        with transaction(sessions) as session:
            assert endings.expired(session) == []


def enqueue(sessions: Sessions, model: ReadyModel, kind: JobKind = JobKind.UNLEARN) -> UUID:
    with transaction(sessions) as session:
        return queue.enqueue(session, model.id, kind)


def claim(sessions: Sessions, job_id: UUID, lease_seconds: float = 30) -> Lease | None:
    with transaction(sessions) as session:
        return leases.claim(session, job_id, "worker", lease_seconds)


def claimed(sessions: Sessions, job_id: UUID, lease_seconds: float = 30) -> Lease:
    lease = claim(sessions, job_id, lease_seconds)
    assert lease is not None
    return lease


def is_held_up(sessions: Sessions, lease: Lease) -> bool:
    with transaction(sessions) as session:
        return leases.is_held_up(session, lease)


def finish(sessions: Sessions, lease: Lease) -> None:
    with transaction(sessions) as session:
        endings.finish(session, lease)


def take_away(sessions: Sessions, lease: Lease) -> None:
    with transaction(sessions) as session:
        endings.take_away(session, lease, "lost")


def row(sessions: Sessions, job_id: UUID) -> Job:
    with transaction(sessions) as session:
        return session.get_one(Job, job_id)


def everything(sessions: Sessions) -> list[str]:
    with transaction(sessions) as session:
        return list(session.scalars(text("SELECT jobs::text FROM jobs ORDER BY position")))
