"""Names with their values, as they came from a worker or a policy, in words."""

import json
from dataclasses import dataclass
from typing import Any

from service.dashboard import figures


@dataclass(frozen=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


def value_in_words(value: Any) -> str:  # Any: whatever JSON holds
    """Write a JSON value: a number as people read it, text as it is, anything else in one line."""
    if isinstance(value, float):
        return figures.decimal(value)
    return value if isinstance(value, str) else compact(value)


def compact(value: object) -> str:
    """Write a JSON value in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
