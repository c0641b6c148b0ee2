"""What can happen to a call of the engine, and whether another attempt may help."""

from collections.abc import Mapping

from workers.engine.child import Remains
from workers.engine.messages import Failure

OF_ONE_REQUEST = frozenset({"engine_error", "row_unreadable"})
"""Reasons the child gives that may lie in one request of many; a full disk, say, does not."""

GIBIBYTE = 2**30


class EngineError(Exception):
    """A call of the engine did not bring a reply.

    Attributes:
        is_retryable: Whether another attempt may help.
        is_suspicious: Whether one request of those that the call served may be what it failed for.
        facts: What is known of the child, for the job's evidence.
    """

    code = "engine"
    is_retryable = True
    is_suspicious = True
    facts: Mapping[str, int | str | None] = {}


class EngineDied(EngineError):
    """The child process died in mid-call.

    Args:
        call: What it was asked to do.
        remains: Of the child.
    """

    code = "engine_died"

    def __init__(self, call: str, remains: Remains | None) -> None:
        how = "its process is gone"
        if remains is not None:
            end = remains.signal or f"exit status {remains.exit_status}"
            how = f"{end}, {remains.peak_memory_bytes / GIBIBYTE:.1f} GiB in memory at most"
            self.facts = remains.facts
        super().__init__(f"The engine died during {call} ({how}).")


class EngineTooSlow(EngineError):
    """The call passed its deadline and was killed."""

    code = "deadline_passed"

    def __init__(self, text: str, remains: Remains | None) -> None:
        super().__init__(text)
        if remains is not None:
            self.facts = remains.facts


class EngineRefused(EngineError):
    """The child answered with a reason.

    Attributes:
        position: The manifest row at fault, if one is.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.code = failure.code
        self.is_retryable = failure.is_retryable
        self.is_suspicious = failure.code in OF_ONE_REQUEST
        self.position = failure.position
