"""Publishing what a run has made: the version, the burial and the certificates, in one transaction.

All or nothing: either the new version is served, what it forgot is buried and every request is told, or
nothing has happened. Each function carries the lease, and compares the base version before it swaps: a worker
that was overtaken publishes nothing. Three ways lead here. A version may close its requests (`publish`), only
serve them until an exact retraining closes them (`publish_interim`), or close them because a person accepted
what its audit refused (`publish_accepted`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from service.core import errors
from service.core.ledger.claims import Guarantee
from service.core.lineage import repository as lineage
from service.core.queue import endings
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import JobKind
from service.core.registry import service as registry
from service.core.registry.models import Model, Version
from service.core.registry.service import NamedFile
from service.core.requests import acceptance, interims, lifecycle, repository, tally
from service.core.requests.acceptance import Acceptance
from service.core.requests.assignments import Assignment
from service.core.requests.certificates import Signatory, certify
from service.core.requests.models import ForgetRequest, Run, RunState
from service.core.requests.runs import fenced
from service.core.requests.states import DECIDABLE, Status


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
    run = fenced(session, lease, assignment.run_id)
    version = _release(session, run, publication)
    tally.close(session, run, RunState.PUBLISHED)
    requests = _at_audit(session, run)
    if publication.guarantee == Guarantee.EXACT:
        requests = [*requests, *_retrained_without(session, run, assignment)]
    _complete(session, run, requests, assignment, publication, signatory)
    endings.finish(session, lease)
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
    run = fenced(session, lease, assignment.run_id)
    version = _release(session, run, publication)
    tally.close(session, run, RunState.INTERIM)
    served = _at_audit(session, run)
    lifecycle.move_all(
        session,
        served,
        Status.QUEUED,
        also={"interim": interims.told(version, run)},
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
    endings.finish(session, lease)
    return version


def publish_accepted(
    session: Session, lease: Lease, accepted: Acceptance, publication: Publication, signatory: Signatory
) -> Version:
    """Publish what a person accepted, and complete the requests of its run.

    Raises:
        errors.LeaseLost: The job is no longer ours.
        errors.Conflict: The base version is no longer served, or the acceptance was taken back.
    """
    run = fenced(session, lease, accepted.assignment.run_id)
    requests = [one for one in repository.accepted(session, run.model_id) if one.run_id == run.id]
    if not requests:
        raise errors.Conflict("What was accepted is no longer to be published.", code=acceptance.STALE)
    version = _release(session, run, publication)
    run.state = RunState.ACCEPTED
    _complete(session, run, requests, accepted.assignment, publication, signatory)
    endings.finish(session, lease)
    return version


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


def _at_audit(session: Session, run: Run) -> Sequence[ForgetRequest]:
    """Return a run's requests, taken back to the audit of the rung that decides where a later one failed."""
    requests = repository.taken_by(session, run)
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
