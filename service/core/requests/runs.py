"""Rules of a run: one attempt takes every request that waits for a model and ends for all of them at once.

Each function is one transaction's worth of change and carries the lease: a worker that lost it changes
nothing. A run ends published (`publishing`), refused (people decide), or broken (and its requests wait again,
`broken`). One that published an interim version ends too, and its requests wait for another run to close them
(`interims`); one that was refused may be published after all, when a person accepts its candidate
(`acceptance`).
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.core.queue import endings, evidence, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.service import NamedFile
from service.core.requests import assignments, broken, gathering, lifecycle, repository, tally
from service.core.requests.assignments import Assignment
from service.core.requests.models import Run, RunState
from service.core.requests.states import Status


@dataclass(frozen=True)
class Kept:
    """The best that a refused run has made, for a person to accept or not.

    Attributes:
        files: Its weights, and what only its method can use; stored already.
        guarantee: What may be claimed of it after its audit.
        verdict: Of that audit.
        is_retrained: Whether its weights come from a retraining.
        rung: Which of the run's rungs it comes from.
    """

    files: Sequence[NamedFile]
    guarantee: str
    verdict: str
    is_retrained: bool
    rung: int


def take(session: Session, lease: Lease) -> Assignment | None:
    """Start a run with the oldest request that waits for the model, and every other one it can serve as well.

    A run uses one method for classes and one for samples, so requests that ask for another wait for the run
    after it, whose job is made here. Requests whose whole target was forgotten meanwhile complete at once;
    those that an interim version has forgotten wait for the exact retraining, which takes every request.
    After a job was lost twice, its runs serve fewer, so that a request that breaks them is found.

    Returns:
        What to forget, or None when nothing is left to do; the job is finished then.

    Raises:
        errors.LeaseLost: The job is no longer ours.
    """
    leases.fence(session, lease)
    model = session.get_one(Model, lease.model_id)
    broken.put_back(session, lease.model_id, "an earlier attempt ended without a word")
    gathered = gathering.gather(
        session,
        model,
        is_exact_only=lease.kind == JobKind.EXACT,
        at_most=evidence.share(evidence.of(session, lease)),
    )
    if gathered.left:
        queue.enqueue(session, model.id, JobKind.UNLEARN, due_at=min(one.due_at for one in gathered.left))
    if not gathered.served or model.served_version is None:
        if lease.attempts > 1:
            broken.ask_sweep(session, model.id)  # what earlier attempts left, no publication sweeps
        endings.finish(session, lease)
        return None
    run = Run(
        model_id=model.id,
        job_id=lease.job_id,
        epoch=lease.epoch,
        base_version=model.served_version,
        seed=secrets.randbits(31),
    )
    session.add(run)
    session.flush()
    lifecycle.move_all(
        session,
        gathered.served,
        Status.RUNNING,
        also={"run_id": run.id},
        run=str(run.id),
        base_version=run.base_version,
    )
    return replace(
        assignments.assign(session, model, run, gathered.served),
        class_method=gathered.class_method,
        samples_method=gathered.samples_method,
        is_exact_only=lease.kind == JobKind.EXACT,
        is_masked_first=gathered.is_masked_first,
    )


def progress(session: Session, run_id: uuid.UUID, stage: str, fraction: float) -> None:
    """Note how far a run is, as long as its attempt has the job.

    The epoch is compared and the job's row not locked: nothing is decided by progress, and it must not wait
    for a transaction that holds the row.
    """
    is_at_it = select(Job.id).where(
        Job.id == Run.job_id, Job.lease_epoch == Run.epoch, Job.state == JobState.RUNNING
    )
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.finished_at.is_(None), is_at_it.exists())
        .values(stage=stage, fraction=max(0.0, min(1.0, fraction)))
    )


def begin_audit(session: Session, lease: Lease, run_id: uuid.UUID, rung: Mapping[str, Any]) -> None:
    """Note that a rung has produced a candidate, which is audited now.

    Args:
        session: The transaction.
        lease: The job's lease.
        run_id: The run.
        rung: Its steps, with `audit` None.
    """
    run = fenced(session, lease, run_id)
    run.state = RunState.AUDITING
    run.rungs = [*run.rungs, dict(rung)]
    methods = [step["method"] for step in rung["steps"]]
    standing = repository.standing_in(session, run)
    lifecycle.move_rows(session, standing, Status.AUDITING, run=str(run_id), methods=methods)


def note_audit(session: Session, lease: Lease, run_id: uuid.UUID, audit: Mapping[str, Any]) -> None:
    """Note what the audit found of the present rung."""
    run = fenced(session, lease, run_id)
    run.rungs = [*run.rungs[:-1], {**run.rungs[-1], "audit": dict(audit)}]
    tally.audited(session, audit)


def note_failed_rung(
    session: Session, lease: Lease, run_id: uuid.UUID, methods: Sequence[str], code: str, text: str
) -> None:
    """Note a rung whose method could not serve the problem at hand and so has no candidate to audit."""
    run = fenced(session, lease, run_id)
    run.rungs = [*run.rungs, {"steps": [], "audit": None, "methods": [*methods], "code": code, "text": text}]


def next_rung(session: Session, lease: Lease, run_id: uuid.UUID) -> None:
    """Go from a refused audit to the next rung."""
    run = fenced(session, lease, run_id)
    run.state = RunState.RUNNING
    verdict = run.rungs[-1]["audit"]["verdict"]
    standing = repository.standing_in(session, run)
    lifecycle.move_rows(session, standing, Status.RUNNING, run=str(run_id), audit=verdict)


def refuse(session: Session, lease: Lease, run_id: uuid.UUID, kept: Kept | None = None) -> None:
    """End a run of which no rung passed its audit: nothing is published, a person decides.

    The best candidate is kept until then; whatever else the run made is purged.
    """
    run = fenced(session, lease, run_id)
    tally.close(session, run, RunState.REFUSED)
    if kept is not None:
        run.rung = kept.rung
        registry.keep_candidate(
            session,
            session.get_one(Model, run.model_id),
            run.id,
            base_number=run.base_version,
            files=kept.files,
            guarantee=kept.guarantee,
            verdict=kept.verdict,
            is_retrained=kept.is_retrained,
        )
    standing = repository.standing_in(session, run)
    lifecycle.move_rows(session, standing, Status.NEEDS_REVIEW, reason="audit_refused", run=str(run_id))
    queue.enqueue(session, run.model_id, JobKind.PURGE)
    endings.finish(session, lease)


def fenced(session: Session, lease: Lease, run_id: uuid.UUID) -> Run:
    """Return a run, once it is sure that this transaction may write in its lease's name.

    Raises:
        errors.LeaseLost: The job is no longer ours.
    """
    leases.fence(session, lease)
    return repository.run_by_id(session, run_id)
