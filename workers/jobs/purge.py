"""Deletes the files of withdrawn versions, and whatever no living version needs, and leaves receipts."""

from pathlib import Path

from service.core import logging
from service.core.db.session import transaction
from service.core.lineage import repository as lineage
from service.core.queue import endings, leases
from service.core.queue.leases import Lease
from service.core.registry import repository as registry
from service.core.registry import service
from service.core.registry.models import Model
from service.core.requests import interims
from workers.engine import messages
from workers.engine.client import Pulse, ignore_progress
from workers.jobs import records
from workers.jobs.context import Context, is_sharded, spec_of

log = logging.get(__name__)


def purge(context: Context, lease: Lease, pulse: Pulse) -> None:
    """Delete, then record, under one fence: what was cut short is done again, a receipt is never early.

    Candidates that no version came to need (a refused rung's weights) go with them, but for the one that a
    person may still accept. So does what a training
    left beside its weights: the states of one in shards that saw what is forgotten by now, which stand in the
    last version's receipt, and in its log the keys of those who are forgotten, or all of it once it no longer
    fits what is served.

    Raises:
        errors.LeaseLost: Another worker owns the job.
        errors.Unavailable: The store or the database is out.
        EngineError: The data cannot be read, or the engine broke.
    """
    states = _forgotten_states(context, lease, pulse)
    with transaction(context.sessions) as session:
        leases.fence(session, lease)  # held to the end: what is living cannot change while files go
        model = session.get_one(Model, lease.model_id)
        living = registry.live_digests(session, model.id)
        versions = registry.withdrawn_versions(session, model.id)
        erased = records.erase(session, context.settings.records_dir, model)
        for version in versions:
            purged = [
                (file.name, file.sha256, context.store.delete(model.space, file.sha256))
                for file in registry.files_of(session, version.id)
                if file.sha256 not in living
            ]
            if version is versions[-1]:
                purged += [(f"slices/{state.name}", state.stem, _delete(state)) for state in states]
            service.record_purge(session, model, version, purged, erased)
        for sha256 in set(context.store.digests(model.space)) - living:
            context.store.delete(model.space, sha256)
        for state in states:
            _delete(state)
        context.store.sweep_checkpoints(model.space)  # no other job of this model runs meanwhile,
        context.store.sweep_partials(model.space)  # and a model that is served takes no upload
        endings.finish(session, lease)
    log.info("model.purged", model=str(lease.model_id), versions=[version.number for version in versions])


def _forgotten_states(context: Context, lease: Lease, pulse: Pulse) -> list[Path]:
    """Return the kept states of the model's training that saw something forgotten; none without shards."""
    with transaction(context.sessions) as session:
        model = session.get_one(Model, lease.model_id)
        if not is_sharded(model.training):
            return []
        forgotten = interims.forgotten(session, model).positions
        barred = lineage.buried_elsewhere(session, model.dataset_id, model.id)
        asked = messages.Sweep(
            model=spec_of(session, model), forgotten_positions=tuple(sorted({*forgotten, *barred}))
        )
    found = context.engine.call(asked, messages.SweepReply, pulse, ignore_progress)
    return [context.settings.slices_dir / file for file in found.files]


def _delete(file: Path) -> int:
    """Delete a file, if it is still there, and return the bytes freed."""
    try:
        size = file.stat().st_size
        file.unlink()
    except FileNotFoundError:
        return 0
    return size
