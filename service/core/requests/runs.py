"""Rules of a run: one attempt takes every request that waits for a model and ends for all of them at once.

Each function is one transaction's worth of change and carries the lease: a worker that lost it changes
nothing. A run ends published, refused (people decide), or broken (and its requests wait again). One that
published an interim version ends too, and its requests wait for another run to close them (`interims`); one
that was refused may be published after all, when a person accepts its candidate (`acceptance`).
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.core import errors
from service.core.ledger.claims import Guarantee
from service.core.lineage import repository as lineage
from service.core.queue import evidence
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind, JobState
from service.core.queue.repository import Lease
from service.core.registry import repository as versions
from service.core.registry import service as registry
from service.core.registry.models import Candidate, Model, Version
from service.core.registry.service import NamedFile
from service.core.requests import acceptance, broken, gathering, interims, lifecycle, repository, tally
from service.core.requests.certificates import Signatory, certify
from service.core.requests.models import ForgetRequest, Run, RunState
from service.core.requests.states import DECIDABLE, Status


@dataclass(frozen=True)
class Assignment:
    """What a run is to forget: the union of its requests' targets, less what is forgotten already.

    Attributes:
        run_id: The run.
        base_version: Version to start from.
        seed: Seed of everything random in the run.
        classes: Labels to forget, ascending.
        positions: Manifest positions to forget, ascending.
        forgotten_classes: Labels forgotten by earlier runs, or by interim versions.
        forgotten_positions: Positions forgotten by earlier runs or by interim versions, or barred by the
            re-admission guard. One that is barred and asked for stands in `positions`: this model must forget
            it too.
        class_method: Method asked for by class requests, or `auto`.
        samples_method: Method asked for by sample and subject requests, or `auto`.
        is_exact_only: Whether only exact retraining will do.
        is_masked_first: Whether an interim version with masked outputs comes before anything else.
        is_masked: Whether the base version masks outputs of classes in `classes`, and has the weights
            without the mask beside it.
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
    is_exact_only: bool = False
    is_masked_first: bool = False
    is_masked: bool = False


@dataclass(frozen=True)
class Publication:
    """A version that may be published.

    Attributes:
        files: Its files, stored already.
        guarantee: What may be claimed of it.
        facts: What was measured of it.
        rung: Which of the run's rungs it comes from; None for the last.
    """

    files: Sequence[NamedFile]
    guarantee: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    rung: int | None = None


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


@dataclass(frozen=True)
class Acceptance:
    """What a person accepted: what the run had to forget, and the candidate that did."""

    assignment: Assignment
    candidate: Candidate
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
    queue.fence(session, lease)
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
    for request in gathered.served:
        request.run_id = run.id
    lifecycle.move_all(
        session, gathered.served, Status.RUNNING, run=str(run.id), base_version=run.base_version
    )
    return replace(
        _assignment(session, model, run, gathered.served),
        class_method=gathered.class_method,
        samples_method=gathered.samples_method,
        is_exact_only=lease.kind == JobKind.EXACT,
        is_masked_first=gathered.is_masked_first,
    )


def take_accepted(session: Session, lease: Lease) -> Acceptance | None:
    """Return what a person accepted and nobody has published yet.

    Returns:
        None when there is nothing, or it can no longer be published; the job is finished then, and requests
        whose candidate is gone need review again.

    Raises:
        errors.LeaseLost: The job is no longer ours.
    """
    queue.fence(session, lease)
    model = session.get_one(Model, lease.model_id)
    accepted = repository.accepted(session, model.id)
    run = repository.run_by_id(session, accepted[0].run_id) if accepted and accepted[0].run_id else None
    candidate = versions.candidate_of(session, run.id) if run else None
    if run is None or candidate is None or candidate.base_number != model.served_version:
        acceptance.take_back(session, accepted, acceptance.STALE)
        queue.finish(session, lease)
        return None
    rung = len(run.rungs) - 1 if run.rung is None else run.rung
    return Acceptance(_assignment(session, model, run, accepted), candidate, rung)


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
    run = _run(session, lease, run_id)
    run.state = RunState.AUDITING
    run.rungs = [*run.rungs, dict(rung)]
    methods = [step["method"] for step in rung["steps"]]
    lifecycle.move_all(session, _requests(session, run), Status.AUDITING, run=str(run_id), methods=methods)


def note_audit(session: Session, lease: Lease, run_id: uuid.UUID, audit: Mapping[str, Any]) -> None:
    """Note what the audit found of the present rung."""
    run = _run(session, lease, run_id)
    run.rungs = [*run.rungs[:-1], {**run.rungs[-1], "audit": dict(audit)}]
    tally.audited(session, audit)


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
    lifecycle.move_all(session, _requests(session, run), Status.RUNNING, run=str(run_id), audit=verdict)


def publish(
    session: Session,
    lease: Lease,
    assignment: Assignment,
    publication: Publication,
    signatory: Signatory,
) -> Version:
    """Publish, bury what was forgotten, complete every request with its certificate, finish the job.

    All of it is one transaction: either the new version is served and everything is told of it, or nothing
    has happened. What the version needs for its next request is refreshed by a job of its own. One that was
    retrained closes the requests that interim versions had forgotten before as well.

    Raises:
        errors.LeaseLost: The job is no longer ours.
        errors.Conflict: The base version is no longer served.
    """
    run = _run(session, lease, assignment.run_id)
    version = _release(session, run, publication)
    tally.close(session, run, RunState.PUBLISHED)
    requests = _at_audit(session, run)
    if publication.guarantee == Guarantee.EXACT:
        requests += _retrained_without(session, run, assignment)
    _complete(session, run, requests, assignment, publication, signatory)
    queue.finish(session, lease)
    return version


def publish_interim(
    session: Session, lease: Lease, assignment: Assignment, publication: Publication, *, can_be_exact: bool
) -> Version:
    """Publish a version that closes no request: each is queued again, for the run that can close it.

    Nothing is buried and nothing certified. After a mask the ladder goes on at once; after anything better
    the model is retrained exactly when that is due.

    Args:
        session: The transaction.
        lease: The job's lease.
        assignment: What the run had to forget.
        publication: The version.
        can_be_exact: Whether the model can be retrained at all; if not, people hear of it at once.

    Raises:
        errors.LeaseLost: The job is no longer ours.
        errors.Conflict: The base version is no longer served.
    """
    run = _run(session, lease, assignment.run_id)
    version = _release(session, run, publication)
    tally.close(session, run, RunState.INTERIM)
    served = _at_audit(session, run)
    for request in served:
        request.interim = interims.told(version, run)
    lifecycle.move_all(
        session,
        served,
        Status.QUEUED,
        reason=interims.INTERIM_PUBLISHED,
        run=str(run.id),
        version=version.number,
        guarantee=publication.guarantee,
    )
    if publication.guarantee == Guarantee.SUPPRESSED:
        due_at = min((one.due_at for one in served), default=None)
        queue.enqueue(session, run.model_id, JobKind.UNLEARN, due_at=due_at)
    else:
        queue.enqueue(session, run.model_id, JobKind.REFRESH)
    interims.schedule(session, session.get_one(Model, run.model_id), is_possible=can_be_exact)
    queue.finish(session, lease)
    return version


def publish_accepted(
    session: Session, lease: Lease, accepted: Acceptance, publication: Publication, signatory: Signatory
) -> Version:
    """Publish what a person accepted, and complete the requests of its run.

    Raises:
        errors.LeaseLost: The job is no longer ours.
        errors.Conflict: The base version is no longer served, or the acceptance was taken back.
    """
    run = _run(session, lease, accepted.assignment.run_id)
    requests = [one for one in repository.accepted(session, run.model_id) if one.run_id == run.id]
    if not requests:
        raise errors.Conflict("What was accepted is no longer to be published.", code=acceptance.STALE)
    version = _release(session, run, publication)
    run.state = RunState.ACCEPTED
    _complete(session, run, requests, accepted.assignment, publication, signatory)
    queue.finish(session, lease)
    return version


def refuse(session: Session, lease: Lease, run_id: uuid.UUID, kept: Kept | None = None) -> None:
    """End a run of which no rung passed its audit: nothing is published, a person decides.

    The best candidate is kept until then; whatever else the run made is purged.
    """
    run = _run(session, lease, run_id)
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
    lifecycle.move_all(
        session, _requests(session, run), Status.NEEDS_REVIEW, reason="audit_refused", run=str(run_id)
    )
    queue.enqueue(session, run.model_id, JobKind.PURGE)
    queue.finish(session, lease)


def _run(session: Session, lease: Lease, run_id: uuid.UUID) -> Run:
    queue.fence(session, lease)
    return repository.run_by_id(session, run_id)


def _requests(session: Session, run: Run) -> list[ForgetRequest]:
    return [one for one in repository.in_run(session, run.model_id) if one.run_id == run.id]


def _assignment(session: Session, model: Model, run: Run, served: Sequence[ForgetRequest]) -> Assignment:
    """Return what a run that serves these requests has to forget."""
    forgotten = interims.forgotten(session, model, besides={one.id for one in served})
    asked = {place for one in served for place in one.positions or ()} - {*forgotten.positions}
    barred = set(lineage.buried_elsewhere(session, model.dataset_id, model.id)) - asked
    labels = {label for one in served for label in one.classes} - {*forgotten.classes}
    return Assignment(
        run_id=run.id,
        base_version=run.base_version,
        seed=run.seed,
        classes=tuple(sorted(labels)),
        positions=tuple(sorted(asked)),
        forgotten_classes=forgotten.classes,
        forgotten_positions=tuple(sorted(barred.union(forgotten.positions))),
        class_method="auto",
        samples_method="auto",
        is_masked=any(interims.is_suppressed(one) for one in served),
    )


def _release(session: Session, run: Run, publication: Publication) -> Version:
    """Make what a run has made the served version."""
    run.rung = publication.rung
    version = registry.publish(
        session,
        session.get_one(Model, run.model_id),
        base_number=run.base_version,
        files=publication.files,
        guarantee=publication.guarantee,
        run_id=run.id,
        facts=publication.facts,
    )
    run.version = version.number
    return version


def _at_audit(session: Session, run: Run) -> list[ForgetRequest]:
    """Return a run's requests, taken back to the audit of the rung that decides where a later one failed."""
    requests = _requests(session, run)
    behind = [one for one in requests if one.status == Status.RUNNING] if run.rung is not None else []
    if behind:
        methods = [step["method"] for step in run.deciding_rung["steps"]]
        lifecycle.move_all(
            session, behind, Status.AUDITING, run=str(run.id), methods=methods, why="best_so_far"
        )
    return requests


def _retrained_without(session: Session, run: Run, assignment: Assignment) -> list[ForgetRequest]:
    """Return the settled requests whose data a retraining for others left out as well.

    Another retraining for them would make the very same model, which no audit takes for a change.
    """
    left_out = interims.Forgotten(assignment.forgotten_classes, assignment.forgotten_positions)
    found = [
        one.id
        for one in repository.with_interim(session, run.model_id)
        if interims.is_settled(one) and left_out.covers(one)
    ]
    covered = repository.requests_by_id(session, found)
    resting = [one for one in covered if one.status in DECIDABLE]
    for run_id in {one.run_id for one in resting if one.run_id is not None}:
        registry.drop_candidate(session, run_id)
    lifecycle.move_all(session, resting, Status.QUEUED, why="retrained_without_it")
    served = [one for one in covered if one.status == Status.QUEUED]
    for request in served:
        request.run_id = run.id
    return served


def _complete(
    session: Session,
    run: Run,
    requests: Sequence[ForgetRequest],
    assignment: Assignment,
    publication: Publication,
    signatory: Signatory,
) -> None:
    """Bury what was forgotten and certify each request; what the version needs next is refreshed later.

    A retraining left out, with its own target, what the guard bars from it: the version does not know that
    either. A request for it that comes later is answered at once; retraining for it would make the same
    bytes, which the audit takes for no change.
    """
    model = session.get_one(Model, run.model_id)
    classes = {*assignment.classes, *(label for one in requests for label in one.classes)}
    positions = {*assignment.positions, *(place for one in requests for place in one.positions or ())}
    if publication.guarantee == Guarantee.EXACT:
        positions |= {*assignment.forgotten_positions}
    if classes:
        lineage.bury_classes(session, model.id, model.dataset_id, run.id, sorted(classes))
    if positions:
        lineage.bury_positions(session, model.id, model.dataset_id, run.id, sorted(positions))
    certify(session, requests, run, model, publication.files, publication.guarantee, signatory)
    queue.enqueue(session, model.id, JobKind.REFRESH)
