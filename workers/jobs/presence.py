"""Tells the database every few seconds that this worker is there, what it does and what its engine holds.

It speaks from a thread of its own, also while a job computes and while the worker is idle. A sighting that
cannot be written is left out: the next one tells more.
"""

import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from service.core import errors, logging
from service.core.db.session import transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import MemberState, Role
from service.core.fleet.repository import Sighting
from workers.jobs.context import Context

KIBIBYTE = 1024
MEMORY = {"VmRSS": "engine_bytes", "VmHWM": "engine_peak_bytes"}
"""What Linux calls the memory of a process now and at its peak, and what a sighting calls it."""

log = logging.get(__name__)


class Presence:
    """Tells of one worker for the length of a `with` block, and takes its leave at the end.

    Args:
        context: The worker.
        pid: Its process id.
    """

    def __init__(self, context: Context, pid: int) -> None:
        self._context = context
        self._pid = pid
        self._began = time.monotonic()
        self._was_asked = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="presence", daemon=True)

    def __enter__(self) -> "Presence":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        try:
            with transaction(self._context.sessions) as session:
                fleet.leave(session, self._context.owner)
        except errors.Unavailable:
            log.warning("presence.no_leave")

    def sighting(self) -> Sighting:
        """Return what there is to say of the worker now."""
        drain = self._context.drain
        state = MemberState.RUNNING if drain.job_id else MemberState.IDLE
        return Sighting(
            owner=self._context.owner,
            role=Role.WORKER,
            host=socket.gethostname(),
            pid=self._pid,
            device=self._context.settings.device,
            state=MemberState.DRAINING if drain.is_asked else state,
            job_id=drain.job_id,
            age_seconds=time.monotonic() - self._began,
            facts=self._facts(),
        )

    def _facts(self) -> dict[str, Any]:
        engine = self._context.engine
        facts: dict[str, Any] = {"methods": dict(self._context.methods)}
        if engine.pid is not None:
            facts |= memory_of(engine.pid)
        if engine.holdings is not None:
            facts |= engine.holdings.model_dump(exclude_none=True)
        return facts

    def _tell(self) -> None:
        while True:
            if self._context.drain.is_asked and not self._was_asked:
                self._was_asked = True
                job = self._context.drain.job_id
                log.info("worker.draining", job=str(job) if job else None)
            try:
                with transaction(self._context.sessions) as session:
                    fleet.note(session, self.sighting())
            except Exception as error:
                log.warning("presence.not_told", error=type(error).__name__)
            if self._stopped.wait(fleet.SIGHTING_SECONDS):
                return


def memory_of(pid: int) -> dict[str, int]:
    """Return the bytes a process holds and held at its peak; nothing where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {
        name: int(fields[field].split()[0]) * KIBIBYTE for field, name in MEMORY.items() if field in fields
    }
