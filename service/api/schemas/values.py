"""Small types that the records share: text the database can hold, moments, names, plain JSON."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.core import clock

MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text for people: no control characters, which PostgreSQL and terminals choke on."""
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
"""A stable lower-case word for programs, never prose about a person."""

Moment = Annotated[
    datetime,
    PlainSerializer(clock.rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time that the API gives: UTC, RFC 3339, milliseconds."""


class Body(BaseModel):
    """What a caller sends: unknown fields are refused, for a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def plain_json(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the value if a JSON column can hold it: no NaN or infinity, no NUL, no lone surrogate.

    Raises:
        PydanticCustomError: It cannot.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
        is_plain = "\\u0000" not in text.replace("\\\\", "")
    except (ValueError, RecursionError):
        is_plain = False
    if not is_plain:
        raise PydanticCustomError("not_plain_json", "holds a number or a character that cannot be stored")
    return value


PlainObject = Annotated[dict[str, Any], AfterValidator(plain_json)]
"""A JSON object of any shape that can be stored and given back as it was."""
