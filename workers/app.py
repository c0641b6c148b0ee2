"""The Celery application and what a worker process holds: built when the process starts, never at import."""

import os
from dataclasses import dataclass

from celery import Celery
from kombu.exceptions import OperationalError

from service.core import logging
from service.core.db.engine import open_engine
from service.core.db.session import open_sessions, transaction
from service.core.ledger.keys import load_or_create_pseudonym_key, load_or_create_signing_key
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer
from service.core.methods import repository as methods
from service.core.queue import doorbell
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from workers.engine.client import Engine, catalogue
from workers.jobs.context import Context, worker_name
from workers.jobs.drain import Drain
from workers.settings import WorkerSettings

TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.05,
    "interval_max": 0.05,
}
"""Without these a send to a dead broker blocks for minutes, and a lost connection is never noticed."""

log = logging.get(__name__)


def create_app(settings: WorkerSettings) -> Celery:
    """Return the Celery application that relay and workers share."""
    app = Celery("lethe", broker=settings.broker_url)
    app.conf.update(
        task_default_queue=doorbell.QUEUE_NAME,
        task_ignore_result=True,
        task_acks_late=False,  # a lost message is rung again; a late acknowledgement would run jobs twice
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=TRANSPORT_OPTIONS,
    )
    return app


def open_context(settings: WorkerSettings) -> Context:
    """Open what a worker process works with, and publish the methods its engine found."""
    sessions = open_sessions(
        open_engine(settings.database_url, pool_size=3, silence_seconds=settings.lease_seconds)
    )
    engine = Engine(settings.deadline_seconds)
    found = catalogue(engine)
    with transaction(sessions) as session:
        methods.publish(session, found)
    return Context(
        settings=settings,
        sessions=sessions,
        store=FilesystemStore(settings.store_dir),
        engine=engine,
        signatory=Signatory(open_signer(settings), open_pseudonymiser(settings)),
        owner=worker_name(os.getpid()),
        drain=Drain(settings.drain_seconds),
        methods={str(one["name"]): str(one["version"]) for one in found},
    )


def open_signer(settings: WorkerSettings) -> Signer:
    """Return the key that signs checkpoints and certificates."""
    return Signer(settings.log_origin, load_or_create_signing_key(settings.ledger_key_path))


def open_pseudonymiser(settings: WorkerSettings) -> Pseudonymiser:
    """Return the key under which samples, subjects and requests are named."""
    return Pseudonymiser(load_or_create_pseudonym_key(settings.pseudonym_key_path))


@dataclass(frozen=True)
class Bell:
    """Rings: sends job ids to whichever worker is free.

    Attributes:
        app: The Celery application.
    """

    app: Celery

    def ring(self, job_id: str) -> bool:
        """Send one id; False when the broker is out, and the next sweep rings again."""
        try:
            self.app.send_task(doorbell.TASK_NAME, args=[job_id], retry=False)
        except OperationalError:
            log.warning("bell.broker_out")
            return False
        return True

    def num_unheard(self) -> int:
        """Return how many bells no worker has heard yet; 0 when the broker is out, as ringing will tell."""
        try:
            with self.app.connection_for_read() as connection:
                return int(connection.default_channel.client.llen(doorbell.QUEUE_NAME))
        except OperationalError:
            return 0
