"""When a waiting job is due: by whoever of those who joined it has the earliest right to it."""

from datetime import timedelta

import pytest

from service.core import clock
from service.core.db.session import Sessions, transaction
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind
from tests.fixtures.registry import ReadyModel

EARLY = clock.now()
LATE = EARLY + timedelta(days=30)


@pytest.mark.parametrize("wishes", [(EARLY, LATE), (LATE, EARLY), (None, EARLY), (EARLY, None)])
def test_a_job_is_due_when_the_first_of_those_it_serves_is(
    sessions: Sessions, digits: ReadyModel, wishes: tuple[object, ...]
) -> None:
    for due_at in wishes:
        with transaction(sessions) as session:
            job_id = queue.enqueue(session, digits.id, JobKind.UNLEARN, due_at=due_at)

    with transaction(sessions) as session:
        assert session.get_one(Job, job_id).due_at == EARLY


def test_a_job_that_may_begin_later_keeps_that_when_its_due_date_moves(
    sessions: Sessions, digits: ReadyModel
) -> None:
    for due_at in (LATE, EARLY):
        with transaction(sessions) as session:
            job_id = queue.enqueue(session, digits.id, JobKind.EXACT, due_at=due_at, not_before=LATE)

    with transaction(sessions) as session:
        job = session.get_one(Job, job_id)
    assert (job.due_at, job.not_before) == (EARLY, LATE)
