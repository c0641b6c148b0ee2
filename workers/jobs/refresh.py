"""Takes anew what the served version needs for its next request; nothing that is served changes."""

from service.core import logging
from service.core.db.session import transaction
from service.core.lineage import repository as lineage
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry import repository as registry
from service.core.registry import service
from service.core.registry.models import Model
from service.core.requests import interims
from workers.engine import messages
from workers.engine.client import Pulse, ignore_progress
from workers.jobs.context import Context, files_of, is_masked, spec_of
from workers.jobs.prepare import named

log = logging.get(__name__)


def refresh(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Have the engine refresh the served version, and put its files in the place of the old ones.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        EngineError: The data cannot be read, or the engine broke.
        errors.LetheError: The store or the database is out.
    """
    with transaction(context.sessions) as session:
        model = session.get_one(Model, lease.model_id)
        number = model.served_version
        if number is None:
            endings.finish(session, lease)
            return
        forgotten = interims.forgotten(session, model)
        barred = lineage.buried_elsewhere(session, model.dataset_id, model.id)
        base = files_of(session, model, number)
        if is_masked(base):  # it keeps what belongs to the weights without the mask, for the next run
            endings.finish(session, lease)
            return
        asked = messages.Refresh(
            model=spec_of(session, model),
            base=base,
            forgotten_classes=forgotten.classes,
            forgotten_positions=tuple(sorted({*forgotten.positions, *barred})),
        )
    reply = context.engine.call(asked, messages.RefreshReply, pulse, ignore_progress)
    with transaction(context.sessions) as session:
        leases.fence(session, lease)
        model = session.get_one(Model, lease.model_id, with_for_update=True)
        version = registry.version_numbered(session, model.id, number)
        service.renew_preparation(session, model, version, named(reply.files))
        queue.enqueue(session, model.id, JobKind.STUDY)
        endings.finish(session, lease)
    log.info("model.refreshed", model=str(lease.model_id), version=number)
