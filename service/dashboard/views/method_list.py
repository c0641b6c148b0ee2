"""What the methods page shows: the catalogue that workers published, strongest promise first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.core.ledger.claims import Guarantee
from service.core.methods import repository as methods
from service.core.methods.models import MethodEntry
from service.dashboard import words

STRENGTH = tuple(Guarantee)


@dataclass(frozen=True)
class Parameter:
    """One parameter a request may fix."""

    name: str
    default: str
    description: str


@dataclass(frozen=True)
class MethodRow:
    """One method of the catalogue."""

    name: str
    title: str
    version: str
    guarantee: str
    guarantee_text: str
    promise: str
    kinds: str
    needs: tuple[str, ...]
    summary: str
    caveats: tuple[str, ...]
    experimental: str | None
    measured: tuple[str, ...]
    """On which models and for which requests, and whether it qualified."""
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class MethodList:
    """The methods page.

    Attributes:
        methods: fit for every model that has what they need.
        experimental: the others.
    """

    methods: tuple[MethodRow, ...]
    experimental: tuple[MethodRow, ...]
    title: str = "Methods"


def look(session: Session, _: datetime) -> MethodList:
    """Read the catalogue."""
    rows = [method_row(entry) for entry in methods.all_methods(session)]
    rows.sort(key=lambda row: (STRENGTH.index(Guarantee(row.guarantee)), row.name))
    return MethodList(
        methods=tuple(row for row in rows if row.experimental is None),
        experimental=tuple(row for row in rows if row.experimental is not None),
    )


def method_row(entry: MethodEntry) -> MethodRow:
    """Return a catalogue entry in words."""
    described = entry.description
    text, promise = words.guarantee(entry.guarantee)
    return MethodRow(
        name=entry.name,
        title=words.method(entry.name),
        version=entry.version,
        guarantee=entry.guarantee,
        guarantee_text=text,
        promise=promise,
        kinds=words.kinds(described.get("kinds", ())),
        needs=tuple(words.NEED.get(need, words.readable(need)) for need in described.get("needs", ())),
        summary=described.get("summary", ""),
        caveats=tuple(described.get("caveats", ())),
        experimental=described.get("experimental"),
        measured=tuple(words.measured(record) for record in described.get("qualifications", ())),
        parameters=_parameters(described.get("parameters") or {}),
    )


def _parameters(schema: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Read the JSON schema of the parameters."""
    return tuple(
        Parameter(name, _default(field), str(field.get("description", "")))
        for name, field in schema.get("properties", {}).items()
    )


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    return "found by search" if value is None else str(value)
