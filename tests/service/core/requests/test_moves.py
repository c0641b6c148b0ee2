"""Many requests change their state at once: by the same few statements, by the law of states, all or none."""

import uuid

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.requests import lifecycle, repository
from service.core.requests.models import ForgetRequest
from service.core.requests.repository import Standing
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel


def test_what_is_in_memory_agrees_with_the_rows(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    ids = [kernel.ask_samples(digits, place).id for place in range(3)]

    with transaction(sessions) as session:
        requests = repository.waiting_for(session, digits.id)
        lifecycle.move_all(session, requests, Status.CANCELLED, reason="withdrawn", by="officer")

    for request, request_id in zip(requests, ids, strict=True):
        row = kernel.request(request_id)
        assert (request.status, request.reason, request.positions) == ("cancelled", "withdrawn", None)
        assert (row.status, row.reason, row.positions) == ("cancelled", "withdrawn", None)


def test_each_request_has_its_own_story(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    ids = [kernel.ask_samples(digits, place).id for place in range(3)]

    with transaction(sessions) as session:
        requests = repository.waiting_for(session, digits.id)
        own = [{"number": number} for number in range(3)]
        lifecycle.move_all(session, requests, Status.CANCELLED, own_facts=own, by="officer")

    told = [kernel.story(request_id)[-1] for request_id in ids]
    assert [entry.body for entry in told] == [
        {"request": str(request_id), "from": "queued", "number": number, "by": "officer"}
        for number, request_id in enumerate(ids)
    ]


def test_the_same_statements_move_three_and_thirty(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    counts = []
    for size in (3, 30):
        for place in range(size):
            kernel.ask_samples(digits, place)
        with transaction(sessions) as session:
            requests = repository.waiting_for(session, digits.id)
            counts.append(num_statements(session, requests))

    assert len({*counts}) == 1


def test_one_that_may_not_follow_keeps_all_where_they_are(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    ids = [kernel.ask_samples(digits, place).id for place in range(2)]

    with pytest.raises(errors.Conflict), transaction(sessions) as session:
        standing = [Standing(ids[0], Status.QUEUED), Standing(ids[1], Status.CANCELLED)]
        lifecycle.move_rows(session, standing, Status.RUNNING)

    assert [kernel.request(request_id).status for request_id in ids] == ["queued", "queued"]


def test_one_that_stands_elsewhere_by_now_keeps_all_where_they_are(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    ids = [kernel.ask_samples(digits, place).id for place in range(2)]
    withdraw(sessions, ids[1])

    with pytest.raises(errors.Conflict), transaction(sessions) as session:
        lifecycle.move_rows(session, [Standing(each, Status.QUEUED) for each in ids], Status.RUNNING)

    assert [kernel.request(request_id).status for request_id in ids] == ["queued", "cancelled"]
    assert [len(kernel.story(request_id)) for request_id in ids] == [len(kernel.story(ids[0]))] * 2


def withdraw(sessions: Sessions, request_id: uuid.UUID) -> None:
    """Let a request be cancelled behind the back of whoever has seen it."""
    with transaction(sessions) as session:
        session.execute(
            update(ForgetRequest).where(ForgetRequest.id == request_id).values(status=Status.CANCELLED)
        )


def num_statements(session: Session, requests: list[ForgetRequest]) -> int:
    """Cancel requests and return how many statements that took."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        lifecycle.move_all(session, requests, Status.CANCELLED)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(seen)
