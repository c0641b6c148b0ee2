"""Cursors: opaque, and only our own are taken."""

import uuid

import pytest

from service.api.cursors import cursor_of, next_link, page, read_cursor
from service.core import errors


def test_a_cursor_reads_back():
    row_id = uuid.uuid4()

    assert read_cursor(cursor_of(row_id)) == row_id
    assert read_cursor(None) is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "AAAA", "%", "é", "A" * 5000, cursor_of(uuid.UUID(int=1)) + "AA"]
)
def test_what_is_no_cursor_is_refused(cursor: str):
    with pytest.raises(errors.Invalid) as refusal:
        read_cursor(cursor)

    assert refusal.value.code == "unknown_cursor"


def test_a_page_tells_whether_another_follows():
    assert page([1, 2, 3], 2) == ([1, 2], True)
    assert page([1, 2], 2) == ([1, 2], False)


def test_the_link_keeps_the_filters():
    row_id = uuid.uuid4()

    link = next_link(
        "/v1/forget-requests", row_id, {"model": "a&b", "status": None, "overdue": True, "limit": 5}
    )

    assert link == f"/v1/forget-requests?model=a%26b&overdue=true&limit=5&cursor={cursor_of(row_id)}"
