"""Tells the log which requests a run serves: from a caller's correlation id to the run, and back."""

import uuid
from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.core import logging, tracing
from service.core.requests import repository
from service.core.requests.models import ForgetRequest

log = logging.get(__name__)


def requests_of(session: Session, model_id: uuid.UUID, run_id: uuid.UUID) -> list[ForgetRequest]:
    """Return the requests that a run serves."""
    return [one for one in repository.in_run(session, model_id) if one.run_id == run_id]


def announce(requests: Sequence[ForgetRequest], run_id: uuid.UUID) -> None:
    """Bind the run to every line from here on, the engine's too, and write one line a request.

    The run's trace is linked to the trace of each request's call.
    """
    logging.bind_more(run=str(run_id))
    tracing.link(request.trace_parent for request in requests)
    for request in requests:
        log.info("run.serves", request=str(request.id), correlation_id=request.correlation_id)
