"""Whose turn it is among all models: what is due first, what people wait for, and what is at hand."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update

from service.core import clock
from service.core.db.session import Sessions, transaction
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind
from tests.fixtures.registry import MakeReady, ReadyModel

NOW = clock.now()
SOON, LATER = NOW + timedelta(days=1), NOW + timedelta(days=20)
NUM_WORKERS = 8


@pytest.fixture
def trio(make_ready: MakeReady) -> list[ReadyModel]:
    """Three models."""
    return [make_ready(name, name) for name in ("one", "two", "three")]


class TestBetweenModels:
    def test_what_must_be_answered_first_goes_first(self, sessions: Sessions, trio: list[ReadyModel]) -> None:
        days = (20, 3, 9)
        for model, each in zip(trio, days, strict=True):
            enqueue(sessions, model, due_at=NOW + timedelta(days=each))

        assert claimed_models(sessions) == [trio[1].id, trio[2].id, trio[0].id]

    def test_a_request_submitted_long_ago_overtakes_by_joining_the_job_that_waits(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        for model in trio:
            enqueue(sessions, model, due_at=LATER)
        enqueue(sessions, trio[2], due_at=SOON)

        assert claimed_models(sessions) == [trio[2].id, trio[0].id, trio[1].id]

    def test_what_people_wait_for_goes_before_any_refresh_and_that_before_any_study(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        enqueue(sessions, trio[0], JobKind.STUDY)
        enqueue(sessions, trio[1], JobKind.REFRESH)
        enqueue(sessions, trio[2], JobKind.PURGE)

        assert claimed_models(sessions) == [trio[2].id, trio[1].id, trio[0].id]

    def test_a_job_without_a_date_is_put_off_by_what_is_due_but_not_by_what_came_later(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        enqueue(sessions, trio[0], JobKind.PREPARE)
        enqueue(sessions, trio[1], due_at=clock.add_months(clock.now(), 1) + timedelta(hours=1))
        enqueue(sessions, trio[2], due_at=SOON)

        assert claimed_models(sessions) == [trio[2].id, trio[0].id, trio[1].id]

    def test_a_model_goes_by_its_most_urgent_job_also_where_another_must_be_done_before(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        purge = enqueue(sessions, trio[0], JobKind.PURGE)
        enqueue(sessions, trio[1], due_at=LATER)
        enqueue(sessions, trio[0], due_at=SOON)

        lease = claim_next(sessions)

        assert lease is not None
        assert (lease.job_id, lease.kind) == (purge, JobKind.PURGE)

    def test_a_retry_that_is_not_due_holds_up_its_model_alone(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        enqueue(sessions, trio[0], due_at=SOON)
        lease = claim_next(sessions)
        assert lease is not None
        with transaction(sessions) as session:
            endings.give_back(session, lease, "the disk is full")
        enqueue(sessions, trio[0], JobKind.PURGE)
        other = enqueue(sessions, trio[1], due_at=LATER)

        found = claim_next(sessions)

        assert found is not None
        assert found.job_id == other
        assert claim_next(sessions) is None

    def test_a_busy_model_is_passed_over(self, sessions: Sessions, trio: list[ReadyModel]) -> None:
        enqueue(sessions, trio[0], due_at=SOON)
        assert claim_next(sessions) is not None
        enqueue(sessions, trio[0], due_at=SOON)
        enqueue(sessions, trio[1], due_at=LATER)

        assert claimed_models(sessions) == [trio[1].id]


class TestAtHand:
    def test_a_model_at_hand_goes_first_for_a_while(self, sessions: Sessions, trio: list[ReadyModel]) -> None:
        enqueue(sessions, trio[0], due_at=SOON)
        enqueue(sessions, trio[1], due_at=LATER)

        lease = claim_next(sessions, at_hand=[trio[1].id])

        assert lease is not None
        assert lease.model_id == trio[1].id

    @pytest.mark.parametrize("change", [{"created_at": NOW - timedelta(minutes=1)}, {"due_at": NOW}])
    def test_what_has_waited_or_is_overdue_is_not_passed_over(
        self, sessions: Sessions, trio: list[ReadyModel], change: dict[str, datetime]
    ) -> None:
        first = enqueue(sessions, trio[0], due_at=SOON)
        enqueue(sessions, trio[1], due_at=LATER)
        with transaction(sessions) as session:
            session.execute(update(Job).where(Job.id == first).values(**change))

        lease = claim_next(sessions, at_hand=[trio[1].id])

        assert lease is not None
        assert lease.job_id == first

    def test_a_refresh_at_hand_does_not_go_before_what_people_wait_for(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        first = enqueue(sessions, trio[0], due_at=LATER)
        enqueue(sessions, trio[1], JobKind.REFRESH)

        lease = claim_next(sessions, at_hand=[trio[1].id])

        assert lease is not None
        assert lease.job_id == first


class TestManyWorkers:
    def test_workers_that_choose_at_once_choose_different_models_and_leave_none(
        self, sessions: Sessions, make_ready: MakeReady
    ) -> None:
        models = [make_ready(f"model-{number}") for number in range(2 * NUM_WORKERS)]
        for model in models:
            enqueue(sessions, model)
            enqueue(sessions, model, JobKind.PURGE)

        def work(_: int) -> list[UUID]:
            return claimed_models(sessions)

        with ThreadPoolExecutor(NUM_WORKERS) as pool:
            claims = [model_id for each in pool.map(work, range(NUM_WORKERS)) for model_id in each]

        assert sorted(claims) == sorted(model.id for model in models)

    def test_a_model_that_another_claim_holds_is_passed_over(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        enqueue(sessions, trio[0], due_at=SOON)
        enqueue(sessions, trio[1], due_at=LATER)

        with transaction(sessions) as one, transaction(sessions) as two:
            first = leases.claim_next(one, "one", 30)
            second = leases.claim_next(two, "two", 30)

        assert first is not None
        assert second is not None
        assert [first.model_id, second.model_id] == [trio[0].id, trio[1].id]

    def test_what_one_worker_passes_over_is_the_next_ones_before_the_other_has_committed(
        self, sessions: Sessions, trio: list[ReadyModel]
    ) -> None:
        for model, due_at in zip(trio, (SOON, LATER, LATER), strict=True):
            enqueue(sessions, model, due_at=due_at)

        with transaction(sessions) as one, transaction(sessions) as two:
            first = leases.claim_next(one, "one", 30, at_hand=[trio[1].id])
            second = leases.claim_next(two, "two", 30)

        assert first is not None
        assert second is not None
        assert [first.model_id, second.model_id] == [trio[1].id, trio[0].id]

    def test_a_claim_that_comes_to_nothing_leaves_the_job_to_the_next(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        job_id = enqueue(sessions, digits)
        with sessions() as session:
            assert leases.claim_next(session, "one", 30) is not None
            session.rollback()

        lease = claim_next(sessions)

        assert lease is not None
        assert (lease.job_id, lease.epoch) == (job_id, 1)

    def test_the_index_of_turns_is_walked_whatever_the_statistics_say(
        self, sessions: Sessions, make_ready: MakeReady
    ) -> None:
        for number in range(4):
            enqueue(sessions, make_ready(f"model-{number}"))
        with transaction(sessions) as session:
            session.execute(text("ANALYZE jobs"))
            assert leases.claim_next(session, "worker", 30) is not None
            is_sorting = session.scalar(text("SHOW enable_sort"))
        with transaction(sessions) as session:
            assert session.scalar(text("SHOW enable_sort")) == "on"

        assert is_sorting == "off"


def enqueue(
    sessions: Sessions,
    model: ReadyModel,
    kind: JobKind = JobKind.UNLEARN,
    due_at: datetime | None = None,
) -> UUID:
    with transaction(sessions) as session:
        return queue.enqueue(session, model.id, kind, due_at=due_at)


def claim_next(sessions: Sessions, at_hand: Sequence[UUID] = ()) -> Lease | None:
    with transaction(sessions) as session:
        return leases.claim_next(session, "worker", 30, at_hand=at_hand)


def claimed_models(sessions: Sessions) -> list[UUID]:
    """Claim until nothing is left to claim; what is claimed stays claimed."""
    claimed = []
    while (lease := claim_next(sessions)) is not None:
        claimed.append(lease.model_id)
    return claimed
