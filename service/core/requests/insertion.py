"""Writes new requests by one statement, whatever their number.

The unit of work would look at each row's every attribute, though nothing of a new request changes after it is
written. So rows go as one JSON document, which also takes lists of different lengths, where arrays of arrays
would not. What is inserted is as it was made; it belongs to no session.
"""

import json
from collections.abc import Collection

from sqlalchemy import Text, bindparam, cast, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from service.core.db.base import Base
from service.core.requests.models import ForgetRequest

_TABLE = Base.metadata.tables[ForgetRequest.__tablename__]
_NAMES = tuple(column.name for column in _TABLE.columns)
_ROWS = (
    func.jsonb_to_recordset(cast(bindparam("rows", type_=Text()), JSONB))
    .table_valued(*_TABLE.columns)
    .render_derived(with_types=True)
)
INSERT = insert(_TABLE).from_select(_NAMES, select(*_ROWS.c))


def insert_all(session: Session, requests: Collection[ForgetRequest]) -> None:
    """Insert requests that have all that a row needs; defaults are not filled in."""
    if requests:
        rows = [{name: getattr(request, name) for name in _NAMES} for request in requests]
        session.execute(INSERT, {"rows": json.dumps(rows, default=str)})  # str: of ids and moments
