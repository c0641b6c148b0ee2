"""What can happen to a call of the engine, and whether another attempt may help."""

from workers.engine.messages import Failure


class EngineError(Exception):
    """A call of the engine did not bring a reply."""

    code = "engine"
    is_retryable = True


class EngineDied(EngineError):
    """The child process died in mid-call."""

    code = "engine_died"


class EngineTooSlow(EngineError):
    """The call passed its deadline and was killed."""

    code = "deadline_passed"


class EngineRefused(EngineError):
    """The child answered with a reason.

    Attributes:
        position: The manifest row at fault, if one is.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.code = failure.code
        self.is_retryable = failure.is_retryable
        self.position = failure.position
