"""Rules of a run: one attempt takes every request that waits for a model and ends for all of them at once.

Each function is one transaction's worth of change and carries the lease: a worker that lost it changes
nothing. A run ends published, refused (people decide), or broken (and its requests wait again).
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.core import clock
from service.core.lineage import repository as lineage
from service.core.queue import repository as queue
from service.core.queue.models import JobKind, JobState
from service.core.queue.repository import Lease
from service.core.registry import service as registry
from service.core.registry.models import Model, Version
from service.core.registry.service import NamedFile
from service.core.requests import lifecycle, repository
from service.core.requests.certificates import Signatory, certify
from service.core.requests.models import ForgetRequest, Run, RunState, TargetKind
from service.core.requests.states import Status


@dataclass(frozen=True)
class Assignment:
    """What a run is to forget: the union of its requests' targets, less what is forgotten already.

    Attributes:
        run_id: The run.
        base_version: Version to start from.
        seed: Seed of everything random in the run.
        classes: Labels to forget, ascending.
        positions: Manifest positions to forget, ascending.
        forgotten_classes: Labels forgotten by earlier runs.
        forgotten_positions: Positions forgotten by earlier runs, or barred by the re-admission guard. One
            that is barred and asked for stands in `positions`: this model must forget it too.
        class_method: Method asked for by class requests, or `auto`.
        samples_method: Method asked for by sample and subject requests, or `auto`.
    """

    run_id: uuid.UUID
    base_version: int
    seed: int
    classes: tuple[int, ...]
    positions: tuple[int, ...]
    forgotten_classes: tuple[int, ...]
    forgotten_positions: tuple[int, ...]
    class_method: str
    samples_method: str


@dataclass(frozen=True)
class Publication:
    """A version that passed its audit.

    Attributes:
        files: Its files, stored already.
        guarantee: What may be claimed of it.
        facts: What was measured of it.
    """

    files: Sequence[NamedFile]
    guarantee: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def take(session: Session, lease: Lease) -> Assignment | None:
    """Start a run with the oldest request that waits for the model, and every other one it can serve as well.

    A run uses one method for classes and one for samples, so requests that ask for another wait for the run
    after it, whose job is made here. Requests whose whole target was forgotten meanwhile complete at once.

    Returns:
        What to forget, or None when nothing is left to do; the job is finished then.

    Raises:
        errors.LeaseLost: The job is no longer ours.
    """
    queue.fence(session, lease)
    model = session.get_one(Model, lease.model_id)
    put_back(session, lease.model_id, "an earlier attempt ended without a word")
    waiting = repository.waiting_for(session, model.id)
    forgotten_classes = lineage.forgotten_classes(session, model.id)
    forgotten = set(lineage.forgotten_positions(session, model.id))
    open_ones = [one for one in waiting if not _is_done(session, one, forgotten_classes, forgotten)]
    served, methods = _together(open_ones)
    if len(served) < len(open_ones):
        queue.enqueue(session, model.id, JobKind.UNLEARN)
    if not served or model.served_version is None:
        queue.finish(session, lease)
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
    for request in served:
        request.run_id = run.id
        lifecycle.move(session, request, Status.RUNNING, run=str(run.id), base_version=run.base_version)
    asked = {place for one in served for place in one.positions or ()} - forgotten
    barred = set(lineage.buried_elsewhere(session, model.dataset_id, model.id)) - asked
    return Assignment(
        run_id=run.id,
        base_version=run.base_version,
        seed=run.seed,
        classes=tuple(sorted({label for one in served for label in one.classes} - forgotten_classes.keys())),
        positions=tuple(sorted(asked)),
        forgotten_classes=tuple(sorted(forgotten_classes)),
        forgotten_positions=tuple(sorted(forgotten.union(barred))),
        class_method=methods.get(True, "auto"),
        samples_method=methods.get(False, "auto"),
    )


def progress(session: Session, run_id: uuid.UUID, stage: str, fraction: float) -> None:
    """Note how far a run is; the fence is not needed, for nothing is decided by it."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.finished_at.is_(None))
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
    run = _run(session, lease, run_id)
    run.state = RunState.AUDITING
    run.rungs = [*run.rungs, dict(rung)]
    methods = [step["method"] for step in rung["steps"]]
    for request in _requests(session, run):
        lifecycle.move(session, request, Status.AUDITING, run=str(run_id), methods=methods)


def note_audit(session: Session, lease: Lease, run_id: uuid.UUID, audit: Mapping[str, Any]) -> None:
    """Note what the audit found of the present rung."""
    run = _run(session, lease, run_id)
    run.rungs = [*run.rungs[:-1], {**run.rungs[-1], "audit": dict(audit)}]


def note_failed_rung(
    session: Session, lease: Lease, run_id: uuid.UUID, methods: Sequence[str], code: str, text: str
) -> None:
    """Note a rung whose method could not serve the problem at hand and so has no candidate to audit."""
    run = _run(session, lease, run_id)
    run.rungs = [*run.rungs, {"steps": [], "audit": None, "methods": [*methods], "code": code, "text": text}]


def next_rung(session: Session, lease: Lease, run_id: uuid.UUID) -> None:
    """Go from a refused audit to the next rung."""
    run = _run(session, lease, run_id)
    run.state = RunState.RUNNING
    verdict = run.rungs[-1]["audit"]["verdict"]
    for request in _requests(session, run):
        lifecycle.move(session, request, Status.RUNNING, run=str(run_id), audit=verdict)


def publish(
    session: Session,
    lease: Lease,
    assignment: Assignment,
    publication: Publication,
    signatory: Signatory,
) -> Version:
    """Publish, bury what was forgotten, complete every request with its certificate, finish the job.

    All of it is one transaction: either the new version is served and everything is told of it, or nothing
    has happened. What the version needs for its next request is refreshed by a job of its own.

    Raises:
        errors.LeaseLost: The job is no longer ours.
        errors.Conflict: The base version is no longer served.
    """
    run = _run(session, lease, assignment.run_id)
    model = session.get_one(Model, run.model_id)
    version = registry.publish(
        session,
        model,
        base_number=run.base_version,
        files=publication.files,
        guarantee=publication.guarantee,
        run_id=run.id,
        facts=publication.facts,
    )
    if assignment.classes:
        lineage.bury_classes(session, model.id, model.dataset_id, run.id, assignment.classes)
    if assignment.positions:
        lineage.bury_positions(session, model.id, model.dataset_id, run.id, assignment.positions)
    run.version = version.number
    _close(run, RunState.PUBLISHED)
    for request in _requests(session, run):
        certify(session, request, run, model, publication.files, publication.guarantee, signatory)
    queue.enqueue(session, model.id, JobKind.REFRESH)
    queue.finish(session, lease)
    return version


def refuse(session: Session, lease: Lease, run_id: uuid.UUID) -> None:
    """End a run whose every rung failed its audit: nothing is published, a person decides."""
    run = _run(session, lease, run_id)
    _close(run, RunState.REFUSED)
    for request in _requests(session, run):
        lifecycle.move(session, request, Status.NEEDS_REVIEW, reason="audit_refused", run=str(run_id))
    queue.finish(session, lease)


def fail(session: Session, lease: Lease, reason: str, *, code: str = "attempts_exhausted") -> None:
    """Park a job that cannot succeed and tell whoever counted on it: its requests, or its model.

    Requests that wait are told too, unless another job is there to serve them: a job that is lost before it
    could take them would otherwise leave them waiting for ever.

    Args:
        session: The transaction.
        lease: The job's lease.
        reason: What went wrong, without personal data.
        code: Reason code the requests show.
    """
    queue.park(session, lease, reason)
    if lease.kind == JobKind.PREPARE:
        registry.refuse_upload(session, session.get_one(Model, lease.model_id), reason)
    carried = repository.in_run(session, lease.model_id)
    waiting = repository.waiting_for(session, lease.model_id)
    # The jobs are asked for after the requests: a request that is seen was committed together with its job.
    if lease.kind != JobKind.UNLEARN or queue.is_waiting(session, lease.model_id, JobKind.UNLEARN):
        waiting = ()
    for request in (*carried, *waiting):
        if request.run_id is not None:
            _close(repository.run_by_id(session, request.run_id), RunState.BROKEN, reason)
        lifecycle.move(session, request, Status.FAILED, reason=code)


def retry(session: Session, lease: Lease, reason: str) -> None:
    """Give a job back for another attempt; its requests wait again, in their old order."""
    put_back(session, lease.model_id, reason)
    queue.give_back(session, lease, reason)


def reap(session: Session, max_attempts: int) -> list[tuple[Lease, JobState]]:
    """Take every expired lease away: its job is ready again, or parked when its attempts are used up."""
    reaped = []
    for lease in queue.expired(session):
        if lease.attempts >= max_attempts:
            fail(session, lease, f"The worker was lost {lease.attempts} times at this job.")
            reaped.append((lease, JobState.PARKED))
        else:
            put_back(session, lease.model_id, "the worker's lease ran out")
            queue.take_away(session, lease, "the worker's lease ran out")
            reaped.append((lease, JobState.READY))
    return reaped


def put_back(session: Session, model_id: uuid.UUID, reason: str) -> None:
    """Close what a broken attempt left open: its requests wait again."""
    for request in repository.in_run(session, model_id):
        if request.run_id is not None:
            _close(repository.run_by_id(session, request.run_id), RunState.BROKEN, reason)
        request.run_id = None
        lifecycle.move(session, request, Status.QUEUED, why="attempt_lost")


def _run(session: Session, lease: Lease, run_id: uuid.UUID) -> Run:
    queue.fence(session, lease)
    return repository.run_by_id(session, run_id)


def _requests(session: Session, run: Run) -> list[ForgetRequest]:
    return [one for one in repository.in_run(session, run.model_id) if one.run_id == run.id]


def _close(run: Run, state: RunState, reason: str | None = None) -> None:
    if run.finished_at is None:
        run.state, run.finished_at, run.fraction = state, clock.now(), 1.0
        run.reason = reason and reason[:500]


def _is_done(
    session: Session, request: ForgetRequest, classes: Mapping[int, uuid.UUID], positions: set[int]
) -> bool:
    """Complete a request whose whole target was forgotten while it waited; tell whether it was."""
    if request.classes:
        missing = [label for label in request.classes if label not in classes]
        run_id = max((classes[label] for label in request.classes if label in classes), default=None)
    else:
        places = request.positions or []
        missing = [place for place in places if place not in positions]
        run_id = None
        if not missing:
            run_id = max(lineage.runs_that_forgot(session, request.model_id, places).values(), default=None)
    if missing:
        return False
    request.run_id = run_id
    lifecycle.move(session, request, Status.COMPLETED, reason="already_forgotten", run=str(run_id))
    return True


def _together(waiting: Sequence[ForgetRequest]) -> tuple[list[ForgetRequest], dict[bool, str]]:
    """Return the requests that one run can serve, and the method of those for classes (True) and of the rest.

    All but those that ask for another method than an older one of their kind; `auto` is one too, so that
    nobody is served by a method that only somebody else named.
    """
    methods: dict[bool, str] = {}
    served = []
    for request in waiting:
        if request.method == methods.setdefault(request.kind == TargetKind.CLASS, request.method):
            served.append(request)
    return served, methods
