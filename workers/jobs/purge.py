"""Deletes the files of withdrawn versions, and whatever no living version needs, and leaves receipts."""

import time

from service.core import logging
from service.core.db.session import transaction
from service.core.queue import repository as queue
from service.core.queue.repository import Lease
from service.core.registry import repository as registry
from service.core.registry import service
from service.core.registry.models import Model
from workers.engine.client import Pulse
from workers.jobs.context import Context

ABANDONED_SECONDS = 3600.0
log = logging.get(__name__)


def purge(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Delete, then record, under one fence: what was cut short is done again, a receipt is never early.

    Candidates that no version came to need (a refused rung's weights) go with them.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        errors.Unavailable: The store or the database is out.
    """
    with transaction(context.sessions) as session:
        queue.fence(session, lease)  # held to the end: what is living cannot change while files go
        model = session.get_one(Model, lease.model_id)
        living = registry.live_digests(session, model.id)
        versions = registry.withdrawn_versions(session, model.id)
        for version in versions:
            purged = [
                (file.name, file.sha256, context.store.delete(model.space, file.sha256))
                for file in registry.files_of(session, version.id)
                if file.sha256 not in living
            ]
            service.record_purge(session, model, version, purged)
        for sha256 in set(context.store.digests(model.space)) - living:
            context.store.delete(model.space, sha256)
        context.store.sweep_checkpoints(model.space)  # no other job of this model runs meanwhile
        context.store.sweep_partials(model.space, time.time() - ABANDONED_SECONDS)
        queue.finish(session, lease)
    log.info("model.purged", model=str(lease.model_id), versions=[version.number for version in versions])
