"""One spelling for each value: canonical JSON (RFC 8785), strict base64, and UTC times.

What is hashed or signed must have one spelling only, so that two honest writers agree and nobody can
re-spell a document. Laws: `parse_json(json_bytes(v)) == v` for JSON values with string keys, and
`json_bytes(parse_json(b)) == b` for whatever `parse_json` accepts; likewise for base64 and for times.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import rfc8785

from service.core.ledger import errors

MAX_INTEGER = 2**53 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def json_bytes(value: object) -> bytes:
    """The canonical JSON of a value made of None, bool, int, float, str, sequences and mappings.

    Raises:
        NotCanonical: NaN, infinity, an integer beyond 2**53, a lone surrogate, a key that is no string,
            another type, or nesting too deep to walk.
    """
    try:
        if _is_simple(value):
            return _ENCODER.encode(value).encode()
        return rfc8785.dumps(_plain(value))
    except (ValueError, RecursionError) as error:
        reason = _reason(error)
    # Raised outside the handler: an encoding error carries the whole text, which may be personal.
    raise errors.NotCanonical(f"expected a value with a canonical JSON form (RFC 8785): {reason}")


class ObjectForm:
    """The canonical JSON of objects with the same names: in its order, with room for members once spelled.

    Law: `ObjectForm(value).of({name: json_bytes(item) ...}) == json_bytes(value)`.

    Args:
        names: Of all members.

    Raises:
        NotCanonical: A name has a lone surrogate.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._keys = [(name, json_bytes(name) + b":") for name in sorted(names, key=_utf_16)]

    def of(self, members: Mapping[str, bytes]) -> bytes:
        """The object whose members are spelled so."""
        return b"{" + b",".join([key + members[name] for name, key in self._keys]) + b"}"


def parse_json(data: bytes) -> object:
    """The value whose canonical JSON these bytes are.

    Raises:
        NotCanonical: The bytes are not JSON, or not its canonical spelling (order of keys, spaces,
            escapes, number format, a key given twice).
    """
    try:
        value: object = json.loads(data.decode("utf-8"), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise errors.NotCanonical(f"expected canonical JSON, got {_reason(error)}") from None
    if json_bytes(value) != data:
        raise errors.NotCanonical("expected canonical JSON (RFC 8785), got JSON in another spelling")
    return value


def base64_text(data: bytes) -> str:
    """Standard base64 (RFC 4648 section 4) with padding."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str) -> bytes | None:
    """The bytes this text is the one standard base64 of, or None when it is not."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if base64_text(data) == text else None


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, always 27 characters: 2026-01-31T09:05:00.000000Z.

    Raises:
        NotCanonical: The time carries no time zone.
    """
    if at.tzinfo is None:
        raise errors.NotCanonical("expected a time with its time zone, got a naive one: use UTC")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """The aware UTC time that `time_text` spells this way.

    Raises:
        NotCanonical: The text is spelled otherwise.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or time_text(at) != text:
        raise errors.NotCanonical(
            "expected a UTC time like 2026-01-31T09:05:00.000000Z, got another spelling"
        )
    return at


def _utf_16(text: str) -> bytes:
    """What RFC 8785 orders keys by; a lone surrogate is refused where the key is spelled."""
    return text.encode("utf-16-be", "surrogatepass")


def _integer(text: str) -> int | float:
    """A whole number as it was before it was written: from 2**53 on only a float can have been."""
    value = float(text)
    return int(text) if abs(value) < 2**53 else value


def _plain(value: object) -> Any:  # Any: rfc8785 checks types while it writes
    """The same value with every mapping a dict of its own and every sequence a list."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_simple(value: object) -> bool:
    """Whether the standard library spells a value as RFC 8785 does: no float, no sequence but a list.

    Keys of ASCII sort alike by code points and by UTF-16 units; the rest of the spelling is the same, and the
    standard library is ten times as fast.
    """
    kind = type(value)
    if kind is dict:
        return all(
            type(key) is str and key.isascii() and _is_simple(item)
            for key, item in cast(dict[object, object], value).items()
        )
    if kind is list:
        return all(map(_is_simple, cast(list[object], value)))
    if isinstance(value, str):  # StrEnums among them
        return True
    if kind is int:
        return -MAX_INTEGER <= cast(int, value) <= MAX_INTEGER
    return value is None or kind is bool


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "text that is not valid Unicode"
    if isinstance(error, RecursionError):
        return "nesting too deep"
    if isinstance(error, json.JSONDecodeError):
        return f"a JSON error at byte {error.pos}"
    return str(error)
