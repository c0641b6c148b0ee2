"""Turns a method's frozen parameters record into a catalogue schema, and a request's JSON into a record.

A field is declared with `parameter(...)`, which carries its meaning and bounds as metadata. Only numbers,
integers, booleans and strings occur, each optionally None ("let the method choose").

No strength is portable between models, so forgetting is rehearsed at several. A record may name these
settings, by the kind of request, in a class variable REHEARSED; without one only its defaults are rehearsed.
"""

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeAlias, get_args, get_type_hints

from workers.unlearning.base import Json, Kind
from workers.unlearning.errors import ParametersError

Rehearsed: TypeAlias = Mapping[Kind, tuple[Mapping[str, Json], ...]]

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def parameter(
    default: Any, description: str, *, minimum: float | None = None, maximum: float | None = None
) -> Any:  # Any, as dataclasses.field is typed: the field's own annotation speaks
    """Declare one field of a parameters record, with its inclusive bounds."""
    return field(
        default=default, metadata={"description": description, "minimum": minimum, "maximum": maximum}
    )


def schema(record: type[Any]) -> dict[str, Json]:
    """Describe a parameters record in the shape of a JSON Schema object."""
    properties: dict[str, Json] = {}
    for each in fields(record):
        scalar, is_optional = _scalar(record, each)
        kind = _JSON_TYPES[scalar]
        described: dict[str, Json] = {
            "type": [kind, "null"] if is_optional else kind,
            "default": getattr(record(), each.name),
            "description": each.metadata.get("description", ""),
        }
        for bound in ("minimum", "maximum"):
            if each.metadata.get(bound) is not None:
                described[bound] = each.metadata[bound]
        properties[each.name] = described
    return {"type": "object", "additionalProperties": False, "properties": properties}


def read(record: type[Any], given: Mapping[str, Any]) -> Any:
    """Read a parameters record.

    Raises:
        ParametersError: a field is unknown, of the wrong type or out of bounds, or two contradict each other.
    """
    known = {each.name: each for each in fields(record)}
    for name, value in given.items():
        if name not in known:
            raise ParametersError(
                f"expected parameters among {sorted(known)}, got {name!r}: remove or rename it"
            )
        _check(record, known[name], value)
    return record(**given)


def rehearsed(record: type[Any], kind: Kind) -> tuple[Mapping[str, Json], ...]:
    """Return the settings at which a rehearsal tries a method, the cheapest first; {} are its defaults."""
    named: Rehearsed = getattr(record, "REHEARSED", {})
    return named.get(kind, ({},))


def _scalar(record: type[Any], each: Field[Any]) -> tuple[type[Any], bool]:
    """Split `float | None` into (float, True) and `float` into (float, False)."""
    annotation = get_type_hints(record)[each.name]
    members = get_args(annotation) or (annotation,)
    scalars = [member for member in members if member is not type(None)]
    if len(scalars) != 1 or scalars[0] not in _JSON_TYPES:
        raise TypeError(
            f"{record.__name__}.{each.name} must be a number, boolean or string, not {annotation}"
        )
    return scalars[0], len(members) > 1


def _check(record: type[Any], each: Field[Any], value: Any) -> None:
    scalar, is_optional = _scalar(record, each)
    if value is None and is_optional:
        return
    if scalar is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    else:
        fits = type(value) is scalar
    if not fits:
        raise ParametersError(
            f"{each.name} must be a finite {_JSON_TYPES[scalar]}, got {value!r}: correct it"
        )
    low, high = each.metadata.get("minimum"), each.metadata.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ParametersError(f"{each.name} must lie in [{low}, {high}], got {value}: correct it")
