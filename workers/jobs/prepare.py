"""Makes a freshly uploaded model ready to forget, then publishes it as version 1."""

import uuid
from pathlib import Path

from sqlalchemy.orm import Session

from service.core import errors, logging
from service.core.db.session import transaction
from service.core.lineage import repository as lineage
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.service import NamedFile
from service.core.storage.base import Stored
from workers.engine import lineage_rows, messages
from workers.engine.client import Pulse, ignore_progress
from workers.engine.messages import StoredFile
from workers.jobs.context import Context, spec_of

log = logging.get(__name__)


def prepare(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Check the upload, ingest the manifest, make codes and Fishers, measure training, publish version 1.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        EngineError: The upload or the data is unusable, or the engine broke.
    """
    with transaction(context.sessions) as session:
        model = session.get_one(Model, lease.model_id)
        if model.served_version is not None or model.upload_sha256 is None:
            endings.finish(session, lease)
            return
        spec = spec_of(session, model)
        excluded = tuple(lineage.buried_elsewhere(session, model.dataset_id, model.id))
        upload = model.upload_sha256
    context.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    rows = context.scratch / f"lineage-{uuid.uuid4().hex}"
    try:
        asked = messages.Prepare(model=spec, weights_sha256=upload, excluded=excluded, lineage_path=str(rows))
        reply = context.engine.call(asked, messages.PrepareReply, pulse, ignore_progress)
        with transaction(context.sessions) as session:
            leases.fence(session, lease)
            model = session.get_one(Model, lease.model_id, with_for_update=True)
            if model.upload_sha256 != upload:
                endings.finish(session, lease)  # a newer upload has its own job
                return
            _ingest(session, model, reply.manifest_digest, rows)
            model.num_classes = reply.num_classes
            model.training_seconds = reply.training_seconds
            registry.publish(
                session,
                model,
                base_number=None,
                files=named(reply.files),
                guarantee=None,
                run_id=None,
                facts=reply.facts,
            )
            queue.enqueue(session, model.id, JobKind.STUDY)
            if lease.attempts > 1:
                queue.enqueue(session, model.id, JobKind.PURGE)  # what lost attempts left in the store
            endings.finish(session, lease)
    finally:
        rows.unlink(missing_ok=True)
    log.info("model.prepared", model=str(lease.model_id))


def named(files: tuple[StoredFile, ...]) -> list[NamedFile]:
    """Return the engine's files as the registry names them."""
    return [NamedFile(file.name, Stored(file.sha256, file.size), file.is_public) for file in files]


def _ingest(session: Session, model: Model, digest: str, rows: Path) -> None:
    try:
        lineage.ingest(session, model.dataset_id, digest, lineage_rows.read(rows))
    except ValueError as error:
        raise errors.Invalid(str(error), code="manifest_changed") from error
