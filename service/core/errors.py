"""The error families of the kernel: what went wrong, in a stable code, never with personal data.

A family says what a caller can do about it; the HTTP status belongs to the API, the retry to the worker. A
message states what was expected, what came and what to do. Identifiers of people or samples never appear in
one: an offending item is named by its position in the caller's own request.
"""

from collections.abc import Mapping, Sequence


class LetheError(Exception):
    """Something Lethe understands went wrong.

    Args:
        message: What was expected, what came, what to do.
        code: Stable machine-readable name; defaults to the family's own.
        details: Positions and reasons inside the caller's input, e.g. `{"pointer": "/target/classes/0"}`.
    """

    code = "error"
    is_retryable = False

    def __init__(
        self, message: str, *, code: str | None = None, details: Sequence[Mapping[str, object]] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = tuple(details)


class Invalid(LetheError):
    """The input can never be accepted as it is."""

    code = "invalid"


class NotFound(LetheError):
    """What was named does not exist."""

    code = "not_found"


class Conflict(LetheError):
    """The input is sound, but the present state forbids it."""

    code = "conflict"


class Gone(LetheError):
    """It existed and was withdrawn for good."""

    code = "gone"


class Unauthenticated(LetheError):
    """No key, or one that is not known."""

    code = "unauthenticated"


class Forbidden(LetheError):
    """The key is known and may not do this."""

    code = "forbidden"


class TooLarge(LetheError):
    """The input is larger than this installation accepts."""

    code = "too_large"


class Unavailable(LetheError):
    """A server or a disk is out for now; trying again later is right."""

    code = "unavailable"
    is_retryable = True


class Overloaded(LetheError):
    """More came than this process takes at a time; trying again shortly is right."""

    code = "overloaded"
    is_retryable = True


class LeaseLost(LetheError):
    """The job's lease ran out or went to another worker; nothing of this attempt may be written."""

    code = "lease_lost"


class IntegrityBroken(LetheError):
    """Stored bytes are not what their digest says."""

    code = "integrity_broken"
