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
    """Delete first, then record: a purge that was cut short is done again, a receipt is never early.

    Candidates that no version came to need (a refused rung's weights) go with them.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        errors.Unavailable: The store or the database is out.
    """
    with transaction(context.sessions) as session:
        queue.fence(session, lease)
        model = session.get_one(Model, lease.model_id)
        space = model.space
        living = registry.live_digests(session, model.id)
        withdrawn = {
            version.number: [(file.name, file.sha256) for file in registry.files_of(session, version.id)]
            for version in registry.withdrawn_versions(session, model.id)
        }
    receipts = {
        number: [
            (name, sha256, context.store.delete(space, sha256))
            for name, sha256 in files
            if sha256 not in living
        ]
        for number, files in withdrawn.items()
    }
    pulse.check()
    for sha256 in set(context.store.digests(space)) - living:
        context.store.delete(space, sha256)
    context.store.sweep_partials(space, time.time() - ABANDONED_SECONDS)
    with transaction(context.sessions) as session:
        queue.fence(session, lease)
        model = session.get_one(Model, lease.model_id)
        for number, purged in receipts.items():
            version = registry.version_numbered(session, model.id, number)
            service.record_purge(session, model, version, purged)
        queue.finish(session, lease)
    log.info("model.purged", model=str(lease.model_id), versions=sorted(receipts))
