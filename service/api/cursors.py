"""Opaque cursors: the id after which the next page of a list begins."""

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query

from service.core import errors

Limit = Annotated[int, Query(ge=1, le=200, description="Longest page wanted.")]
Row = TypeVar("Row")


def cursor_of(row_id: uuid.UUID) -> str:
    """Return the cursor that continues after a row. `read_cursor(cursor_of(x)) == x`."""
    return base64.urlsafe_b64encode(row_id.bytes).rstrip(b"=").decode()


def read_cursor(
    cursor: Annotated[str | None, Query(description="From `next` of the page before.")] = None,
) -> uuid.UUID | None:
    """Return the row that a cursor continues after.

    Raises:
        errors.Invalid: It is no cursor of ours.
    """
    if cursor is None:
        return None
    try:
        return uuid.UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise errors.Invalid(
            "The cursor is not one this list gave out. Begin without one.", code="unknown_cursor"
        ) from error


After = Annotated[uuid.UUID | None, Depends(read_cursor)]


def page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], bool]:
    """Return a page out of up to `limit + 1` rows, and whether another one follows."""
    return rows[:limit], len(rows) > limit


def next_link(path: str, last: uuid.UUID, filters: Mapping[str, object | None]) -> str:
    """Return the link to the page after a row, with the same filters."""
    chosen = {name: _text(value) for name, value in filters.items() if value is not None}
    return f"{path}?{urlencode({**chosen, 'cursor': cursor_of(last)})}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
