"""Keeps a lease alive while its job runs, and tells the job when it is lost."""

import threading
import time
from types import TracebackType

from service.core import errors, logging
from service.core.db.session import Sessions, transaction
from service.core.queue import leases
from service.core.queue.leases import Lease

log = logging.get(__name__)


class Heartbeat:
    """Renews a lease from a thread of its own for as long as the `with` block lasts.

    A database that does not answer is not yet a lost lease: beats go on until the lease would have run out.

    Args:
        sessions: Makes database sessions.
        lease: The lease.
        lease_seconds: How long a renewal lasts.
        interval_seconds: Time between renewals.
    """

    def __init__(
        self, sessions: Sessions, lease: Lease, *, lease_seconds: float, interval_seconds: float
    ) -> None:
        self._sessions = sessions
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._interval_seconds = interval_seconds
        self._valid_until = time.monotonic() + lease_seconds
        self._is_lost = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def check(self) -> None:
        """Return while the lease is held.

        Raises:
            errors.LeaseLost: Another owns the job, or the lease has run out unrenewed.
        """
        if self._is_lost or time.monotonic() > self._valid_until:
            raise errors.LeaseLost(f"The lease of job {self._lease.job_id} was lost while it ran.")

    def _beat(self) -> None:
        while not self._stopped.wait(self._interval_seconds):
            asked_at = time.monotonic()
            try:
                with transaction(self._sessions) as session:
                    leases.heartbeat(session, self._lease, self._lease_seconds)
            except errors.LeaseLost:
                self._is_lost = True
                return
            except Exception as error:
                log.warning("heartbeat.failed", job=str(self._lease.job_id), error=type(error).__name__)
            else:
                self._valid_until = asked_at + self._lease_seconds
