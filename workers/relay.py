"""Rings the bell, reaps leases, releases what was held, sequences the ledger: `python -m workers.relay`.

It listens on the database and rings as soon as a job is ready; a sweep every moment catches what no one told:
a lost notification, a dead broker, a dead worker. Two relays may run: every act is a claim on rows or a lock,
and a bell rung twice is a claim that finds nothing.
"""

import os
import signal
import socket
import threading
import time

import psycopg

from service.core import errors, logging
from service.core.counting import repository as counting
from service.core.counting.repository import Counter
from service.core.db.engine import conninfo, open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.fleet.repository import Sighting
from service.core.ledger import repository as ledger
from service.core.ledger.signing import Signer
from service.core.queue import doorbell
from service.core.queue import repository as queue
from service.core.requests import broken, lifecycle, retention
from workers.app import Bell, create_app, open_signer
from workers.jobs.context import worker_name
from workers.settings import WorkerSettings

SWEEP_SECONDS = 1.0
RING_AGAIN_SECONDS = 5.0
RECONNECT_SECONDS = 0.5
PRUNE_SECONDS = 600.0
ENOUGH_BELLS = 256
"""So many unheard bells wake every worker there is; more would only fill the broker while all are busy."""
log = logging.get(__name__)


class Relay:
    """One relay.

    Args:
        settings: The relay's settings.
        sessions: Makes database sessions.
        bell: Reaches the workers.
        signer: Signs checkpoints.
    """

    def __init__(self, settings: WorkerSettings, sessions: Sessions, bell: Bell, signer: Signer) -> None:
        self._settings = settings
        self._sessions = sessions
        self._bell = bell
        self._signer = signer
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self._told_at = float("-inf")
        self._next_pruning = 0.0
        self._sweep_seconds = min(SWEEP_SECONDS, settings.lease_seconds / 4)

    def stop(self) -> None:
        """End `run` at its next breath."""
        self._stopped.set()

    def run(self) -> None:
        """Listen and sweep until stopped; a database that is out is tried again for ever."""
        while not self._stopped.is_set():
            try:
                with psycopg.connect(conninfo(self._settings.database_url), autocommit=True) as line:
                    line.execute(f"LISTEN {doorbell.JOBS_CHANNEL}")
                    self._listen(line)
            except (psycopg.OperationalError, errors.Unavailable) as error:
                log.warning("relay.database_out", error=type(error).__name__)
                self._stopped.wait(RECONNECT_SECONDS)
        self._leave()

    def sweep(self) -> None:
        """Do once what must be done whether or not anyone rang."""
        with transaction(self._sessions) as session:
            reaped = broken.reap(session, self._settings.max_attempts)
            for _, state in reaped:
                counting.add(session, Counter.LEASES_LOST, state)
        for lease, state in reaped:
            log.warning("relay.reaped", job=str(lease.job_id), epoch=lease.epoch, state=state)
        with transaction(self._sessions) as session:
            lifecycle.release_held(session)
        self._ring_again()
        while self._sequence():
            pass
        if time.monotonic() >= self._next_pruning:
            with transaction(self._sessions) as session:
                num_pruned = retention.prune(session)
            self._next_pruning = time.monotonic() + (0.0 if num_pruned else PRUNE_SECONDS)

    def _ring_again(self) -> None:
        """Ring while jobs are ready: whoever wakes claims what is most urgent, whichever bell it was."""
        room = ENOUGH_BELLS - self._bell.num_unheard()
        if room <= 0:
            return
        with transaction(self._sessions) as session:
            waiting = queue.to_ring(session, RING_AGAIN_SECONDS, limit=room)
        for job_id in waiting:
            if not self._bell.ring(str(job_id)):
                break

    def _listen(self, line: psycopg.Connection[tuple[object, ...]]) -> None:
        next_sweep = 0.0
        while not self._stopped.is_set():
            if time.monotonic() >= next_sweep:
                self.sweep()
                self._tell()
                next_sweep = time.monotonic() + self._sweep_seconds
            remaining = max(0.0, next_sweep - time.monotonic())
            for job_id in {notice.payload for notice in line.notifies(timeout=remaining, stop_after=1)}:
                self._bell.ring(job_id)

    def _tell(self) -> None:
        """Say that a sweep was done, and tidy up behind those who fell silent."""
        if time.monotonic() < self._told_at + fleet.SIGHTING_SECONDS:
            return
        self._told_at = time.monotonic()
        with transaction(self._sessions) as session:
            fleet.note(session, self._sighting())
            fleet.forget_silent(session)
            counting.fold(session)

    def _sighting(self) -> Sighting:
        return Sighting(
            owner=f"{worker_name(os.getpid())}:relay",
            role=Role.RELAY,
            host=socket.gethostname(),
            pid=os.getpid(),
            age_seconds=time.monotonic() - self._began,
        )

    def _leave(self) -> None:
        try:
            with transaction(self._sessions) as session:
                fleet.leave(session, self._sighting().owner)
        except errors.Unavailable:
            log.warning("relay.no_leave")

    def _sequence(self) -> bool:
        with transaction(self._sessions) as session:
            return ledger.sequence(session, self._signer) == ledger.BATCH


def main() -> None:
    """Relay until told to stop."""
    settings = WorkerSettings()
    logging.configure(settings.log_level, settings.log_format)
    engine = open_engine(settings.database_url, pool_size=2, silence_seconds=settings.lease_seconds)
    sessions = open_sessions(engine)
    relay = Relay(settings, sessions, Bell(create_app(settings)), open_signer(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    log.info("relay.started")
    relay.run()


if __name__ == "__main__":
    main()
