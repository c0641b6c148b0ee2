"""Writes a run's progress to the database, seldom enough to cost nothing."""

import time
import uuid

from service.core import errors, logging
from service.core.db.session import Sessions, transaction
from service.core.requests import runs

INTERVAL_SECONDS = 0.5
log = logging.get(__name__)


class Reporter:
    """Called by the engine's client with stage and fraction; writes at most twice a second a stage.

    Progress is for people: where it cannot be written, the run goes on.
    """

    def __init__(self, sessions: Sessions, run_id: uuid.UUID) -> None:
        self._sessions = sessions
        self._run_id = run_id
        self._stage = ""
        self._written_at = 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        """Note how far a stage is."""
        if stage == self._stage and time.monotonic() - self._written_at < INTERVAL_SECONDS:
            return
        self._stage, self._written_at = stage, time.monotonic()
        try:
            with transaction(self._sessions) as session:
                runs.progress(session, self._run_id, stage, fraction)
        except errors.Unavailable:
            log.warning("progress.not_written", run=str(self._run_id))
