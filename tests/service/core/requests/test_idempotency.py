"""Idempotency keys: the same request twice is one request, however the twins race."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.requests.models import ForgetRequest
from tests.fixtures.forgetting import Kernel, classes
from tests.fixtures.registry import ReadyModel

TWINS = 6


def test_same_key_and_body_return_the_first_request(kernel: Kernel, digits: ReadyModel) -> None:
    first = kernel.ask(digits.name, classes(1), key="key", body=b'{"a":1}')

    second = kernel.ask(digits.name, classes(1), key="key", body=b'{"a":1}')

    assert second.id == first.id
    assert len(kernel.story(first.id)) == 2


def test_same_key_with_another_body_is_refused(kernel: Kernel, digits: ReadyModel) -> None:
    kernel.ask(digits.name, classes(1), key="key", body=b'{"a":1}')

    with pytest.raises(errors.Invalid) as refusal:
        kernel.ask(digits.name, classes(2), key="key", body=b'{"a":2}')

    assert refusal.value.code == "idempotency_key_reused"


def test_key_belongs_to_its_caller(kernel: Kernel, digits: ReadyModel) -> None:
    first = kernel.ask(digits.name, classes(1), key="key", body=b"1", principal="one")

    second = kernel.ask(digits.name, classes(2), key="key", body=b"2", principal="two")

    assert second.id != first.id


def test_key_still_answers_when_its_request_is_closed(kernel: Kernel, digits: ReadyModel) -> None:
    first = kernel.ask(digits.name, classes(1), key="key")
    kernel.serve(digits)

    assert kernel.ask(digits.name, classes(1), key="key").status == "completed"
    assert kernel.ask(digits.name, classes(1), key="key").id == first.id


def test_without_a_key_every_request_is_a_new_one(kernel: Kernel, digits: ReadyModel) -> None:
    assert kernel.ask_classes(digits, 1).id != kernel.ask_classes(digits, 1).id


def test_racing_twins_make_one_request(kernel: Kernel, sessions: Sessions, digits: ReadyModel) -> None:
    barrier = Barrier(TWINS)

    def ask(_: int) -> ForgetRequest:
        barrier.wait()
        return kernel.ask(digits.name, classes(1), key="key")

    with ThreadPoolExecutor(TWINS) as pool:
        answers = list(pool.map(ask, range(TWINS)))

    assert len({answer.id for answer in answers}) == 1
    with transaction(sessions) as session:
        assert session.scalar(select(func.count()).select_from(ForgetRequest)) == 1
    assert len(kernel.jobs(digits)) == 1


def test_racing_twins_with_different_bodies_leave_one_request(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    barrier = Barrier(TWINS)

    def ask(number: int) -> str:
        barrier.wait()
        try:
            kernel.ask(digits.name, classes(number % 3), key="key", body=b"%d" % number)
        except errors.Invalid as error:
            return error.code
        return "accepted"

    with ThreadPoolExecutor(TWINS) as pool:
        answers = sorted(pool.map(ask, range(TWINS)))

    assert answers == ["accepted"] + ["idempotency_key_reused"] * (TWINS - 1)
    with transaction(sessions) as session:
        assert session.scalar(select(func.count()).select_from(ForgetRequest)) == 1
