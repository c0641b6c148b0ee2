"""The queries on requests: lists, their filters and the order in which requests wait."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from service.core import errors
from service.core.db.base import new_id
from service.core.db.session import transaction
from service.core.requests import repository
from service.core.requests.repository import RequestFilter
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, classes, subject
from tests.fixtures.registry import MakeReady, ReadyModel

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def test_list_is_newest_first_and_goes_on_after_a_page(kernel: Kernel, digits: ReadyModel) -> None:
    ids = [kernel.ask_samples(digits, position).id for position in range(5)]

    with transaction(kernel.sessions) as session:
        first = repository.requests_before(session, RequestFilter(), None, 2)
        second = repository.requests_before(session, RequestFilter(), first[-1].id, 2)
        third = repository.requests_before(session, RequestFilter(), second[-1].id, 2)

    assert [one.id for one in (*first, *second, *third)] == ids[::-1]


def test_list_shows_one_model_only(kernel: Kernel, digits: ReadyModel, make_ready: MakeReady) -> None:
    letters = make_ready("letters", dataset_name="letters")
    kernel.ask_samples(digits, 1)
    wanted = kernel.ask_samples(letters, 1)

    assert listed(kernel, RequestFilter(model="letters")) == [wanted.id]


def test_list_shows_one_state_only(kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask_samples(digits, 1)
    rejected = kernel.ask_subject(digits, "nobody")

    assert listed(kernel, RequestFilter(status=Status.REJECTED)) == [rejected.id]


def test_overdue_are_the_open_requests_past_their_date(kernel: Kernel, digits: ReadyModel) -> None:
    late = kernel.ask(digits.name, classes(1), submitted_at=LONG_AGO)
    in_time = kernel.ask_classes(digits, 1)
    closed = kernel.ask(digits.name, subject("nobody"), submitted_at=LONG_AGO)

    assert listed(kernel, RequestFilter(is_overdue=True)) == [late.id]
    assert listed(kernel, RequestFilter(is_overdue=False)) == [closed.id, in_time.id]


def test_unknown_request_and_run_are_not_found(kernel: Kernel) -> None:
    with transaction(kernel.sessions) as session:
        with pytest.raises(errors.NotFound):
            repository.request_by_id(session, new_id())
        with pytest.raises(errors.NotFound):
            repository.run_by_id(session, new_id())


def listed(kernel: Kernel, chosen: RequestFilter) -> list[UUID]:
    """The ids that a list shows."""
    with transaction(kernel.sessions) as session:
        return [one.id for one in repository.requests_before(session, chosen, None, 10)]
