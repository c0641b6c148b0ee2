"""Tells the log which requests a run serves: from a caller's correlation id to the run, and back."""

import uuid
from collections.abc import Sequence

from service.core import logging, tracing
from service.core.requests.repository import Call

log = logging.get(__name__)


def announce(calls: Sequence[Call], run_id: uuid.UUID) -> None:
    """Bind the run to every line from here on, the engine's too, and write one line a request.

    The run's trace is linked to the trace of each request's call.
    """
    logging.bind_more(run=str(run_id))
    tracing.link(call.trace_parent for call in calls)
    for call in calls:
        log.info("run.serves", request=str(call.id), correlation_id=call.correlation_id)
