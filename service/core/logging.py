"""Structured logs: an event name and fields, one correlation id, no personal data."""

import logging
import sys

import structlog


def configure(level: str, style: str) -> None:
    """Send every log line to standard error, as JSON or as text for a person.

    Args:
        level: A name known to the standard library, e.g. `INFO`.
        style: `json` or `text`.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**fields: object) -> None:
    """Carry these fields, and no earlier ones, on every line that this task logs from here on."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**fields)


def bind_more(**fields: object) -> None:
    """Carry these fields beside the earlier ones."""
    structlog.contextvars.bind_contextvars(**fields)


def bound() -> dict[str, str]:
    """Return what this task's lines carry, to be bound again in another process."""
    return {name: str(value) for name, value in structlog.contextvars.get_contextvars().items()}
