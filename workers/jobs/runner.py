"""Runs one job from claim to close, and decides what an error means for it.

lease lost            nothing more is written; the engine is killed, and what it left in the store swept
worker told to stop   the job is handed over at once, and no attempt is counted
may succeed later     the job is given back, until its attempts are used up
can never succeed     the job is parked, and its requests or its model say why

A lease is lost when it ran out, or was revoked because a request of its run was cancelled. Whoever asks for a
sweep need not hold it: a purge is a job of its own, and deletes only what nothing that is served needs.
"""

import uuid
from collections.abc import Callable

from service.core import errors, logging, tracing
from service.core.db.session import transaction
from service.core.lineage import repository as lineage
from service.core.queue import leases
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry.models import Model
from service.core.requests import broken
from service.core.requests.broken import Breakdown
from workers.engine.client import Pulse
from workers.engine.errors import EngineError, EngineRefused
from workers.jobs.accept import accept
from workers.jobs.context import Context
from workers.jobs.drain import Drained, Draining
from workers.jobs.heartbeat import Heartbeat
from workers.jobs.prepare import prepare
from workers.jobs.purge import purge
from workers.jobs.refresh import refresh
from workers.jobs.study import study
from workers.jobs.unlearn import unlearn

Job = Callable[[Context, Lease, Pulse], None]

JOBS: dict[JobKind, Job] = {
    JobKind.PREPARE: prepare,
    JobKind.UNLEARN: unlearn,
    JobKind.EXACT: unlearn,
    JobKind.ACCEPT: accept,
    JobKind.PURGE: purge,
    JobKind.REFRESH: refresh,
    JobKind.STUDY: study,
}
log = logging.get(__name__)


def run_job(context: Context, job_id: uuid.UUID) -> bool:
    """Claim the job that should go next, whichever's bell rang, and run it.

    Returns:
        Whether there was something to do.
    """
    with transaction(context.sessions) as session:
        lease = leases.claim_next(
            session,
            context.owner,
            context.settings.lease_seconds,
            at_hand=context.at_hand.models(context.engine.pid),
            affinity_seconds=context.settings.affinity_seconds,
        )
    if lease is None:
        return False
    logging.bind(job=str(lease.job_id), kind=lease.kind, epoch=lease.epoch)
    log.info("job.claimed", attempts=lease.attempts, bell=str(job_id))
    settings = context.settings
    heartbeat = Heartbeat(
        context.sessions,
        lease,
        lease_seconds=settings.lease_seconds,
        interval_seconds=settings.heartbeat_seconds,
    )
    with context.drain.working_on(lease.job_id), heartbeat:
        try:
            with tracing.span(f"job.{lease.kind}", job=str(lease.job_id), attempts=lease.attempts):
                JOBS[lease.kind](context, lease, Draining(heartbeat, context.drain))
        except errors.LeaseLost:
            log.warning("job.lease_lost")
            _throw_away(context, lease)
        except Drained:
            _hand_over(context, lease)
        except (EngineError, errors.LetheError) as error:
            _settle(context, lease, error)
        else:
            log.info("job.done")
    if lease.kind != JobKind.PURGE:
        context.at_hand.note(lease.model_id, context.engine.pid)
    return True


def _hand_over(context: Context, lease: Lease) -> None:
    """Give the job to another worker; if that fails, its lease runs out and the reaper does."""
    try:
        with transaction(context.sessions) as session:
            broken.hand_over(session, lease)
    except (errors.LeaseLost, errors.Unavailable) as trouble:
        log.warning("job.not_handed_over", code=trouble.code)
    else:
        log.info("job.handed_over")


def _throw_away(context: Context, lease: Lease) -> None:
    """Kill the engine, which may still write, and only then ask for a sweep of what it has written."""
    context.engine.stop()
    try:
        with transaction(context.sessions) as session:
            broken.ask_sweep(session, lease.model_id)
    except errors.Unavailable as trouble:
        log.warning("job.not_swept", code=trouble.code)


def _settle(context: Context, lease: Lease, error: EngineError | errors.LetheError) -> None:
    """Give the job back or end it, by what the error allows; if even that fails, the reaper will."""
    breakdown = Breakdown(
        reason=f"{error}{_suspect(context, lease, error)}",
        code=error.code,
        is_retryable=error.is_retryable,
        is_suspicious=isinstance(error, EngineError) and error.is_suspicious,
        facts=error.facts if isinstance(error, EngineError) else {},
    )
    try:
        with transaction(context.sessions) as session:
            state = broken.settle(session, lease, breakdown, context.settings.max_attempts)
    except errors.LeaseLost:
        log.warning("job.lease_lost")
        _throw_away(context, lease)
    except errors.Unavailable as trouble:
        log.warning("job.not_settled", code=trouble.code)
    else:
        log.warning("job.failed", code=error.code, reason=breakdown.reason, state=state)


def _suspect(context: Context, lease: Lease, error: Exception) -> str:
    """Name the manifest row at fault by its pseudonym, if there is one and the database answers."""
    if not isinstance(error, EngineRefused) or error.position is None:
        return ""
    try:
        with transaction(context.sessions) as session:
            model = session.get_one(Model, lease.model_id)
            pseudonym = lineage.pseudonym_at(session, model.dataset_id, error.position)
    except errors.Unavailable:
        return ""
    return f" Its pseudonym is {pseudonym.hex()}." if pseudonym is not None else ""
