"""Intake: one transaction holds the request, its idempotency key, its ledger entries and its job."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import new_id
from service.core.ledger import repository as ledger
from service.core.ledger.errors import PseudonymError
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.lineage import repository as lineage
from service.core.lineage.models import Dataset
from service.core.methods import repository as methods
from service.core.registry import repository as registry
from service.core.registry.models import Model, ModelState
from service.core.registry.policy import Policy
from service.core.requests import interims, lifecycle, repository
from service.core.requests.models import ForgetRequest, IdempotencyKey, TargetKind
from service.core.requests.states import Status

AUTO = "auto"


@dataclass(frozen=True)
class Target:
    """What a caller wants forgotten; exactly one of the three is given.

    Attributes:
        kind: Which of the three.
        classes: Labels.
        sample_ids: The owner's sample ids; they are turned into positions and dropped.
        subject_id: The owner's subject id; likewise.
    """

    kind: TargetKind
    classes: Sequence[int] = ()
    sample_ids: Sequence[str] = ()
    subject_id: str | None = None


@dataclass(frozen=True)
class Intake:
    """A forget request as its caller sent it.

    Attributes:
        model: Name of the model.
        target: What to forget.
        method: A method's name, or `auto`.
        submitted_at: When the person asked; None means now.
        ground: Legal ground code, e.g. `art-17-1-a`.
        idempotency_key: The caller's key, if any.
        fingerprint: SHA-256 of the request's body, hex.
    """

    model: str
    target: Target
    method: str
    submitted_at: datetime | None
    ground: str | None
    idempotency_key: str | None
    fingerprint: str


@dataclass(frozen=True)
class Resolved:
    """A target in the terms of the manifest: labels, or positions, and how many training samples it is."""

    classes: list[int]
    positions: list[int] | None
    num_samples: int


def receive(session: Session, intake: Intake, principal: str, pseudonymiser: Pseudonymiser) -> ForgetRequest:
    """Accept a request, or return the one that the same idempotency key made before.

    Raises:
        errors.NotFound: No such model.
        errors.Conflict: The model serves no version yet.
        errors.Invalid: The target names an unknown class or sample (by position in the request), nothing, or
            everything; the method is unknown; or the idempotency key came with another body before.
    """
    request_id = new_id()
    earlier = _claim_key(session, intake, principal, request_id, pseudonymiser)
    if earlier is not None:
        return earlier
    model = registry.model_named(session, intake.model)
    if model.state != ModelState.READY:
        raise errors.Conflict(
            f"The model is {model.state}; it can forget once a version of it is published.",
            code="model_not_ready",
        )
    _check_method(session, intake)
    resolved = _resolve(session, model, intake.target, pseudonymiser)
    now = clock.now()
    submitted_at = min(intake.submitted_at or now, now)
    request = ForgetRequest(
        id=request_id,
        model_id=model.id,
        principal=principal,
        status=Status.RECEIVED,
        kind=intake.target.kind,
        classes=resolved.classes,
        positions=resolved.positions,
        num_samples=resolved.num_samples,
        method=intake.method,
        ground=intake.ground,
        submitted_at=submitted_at,
        received_at=now,
        due_at=clock.add_months(submitted_at, 1),
    )
    session.add(request)
    session.flush()
    ledger.append(
        session,
        "request.received",
        {
            "request": str(request.id),
            "model": model.name,
            "kind": request.kind,
            "classes": resolved.classes,
            "num_samples": resolved.num_samples,
            "submitted_at": clock.rfc3339(submitted_at),
            "due_at": clock.rfc3339(request.due_at),
            "by": principal,
        },
        request_id=request.id,
    )
    _route(session, model, request, resolved)
    return request


def _claim_key(
    session: Session, intake: Intake, principal: str, request_id: uuid.UUID, pseudonymiser: Pseudonymiser
) -> ForgetRequest | None:
    """Write the idempotency key; a concurrent twin waits here for the first one's commit.

    The fingerprint is kept under the key alone: from the bare digest of a body, whoever can guess a subject's
    id could tell that it was named.
    """
    if intake.idempotency_key is None:
        return None
    fingerprint = pseudonymiser.request(intake.fingerprint)
    inserted = session.scalar(
        insert(IdempotencyKey)
        .values(
            principal=principal,
            key=intake.idempotency_key,
            fingerprint=fingerprint,
            request_id=request_id,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.request_id)
    )
    if inserted is not None:
        return None
    first = repository.idempotent(session, principal, intake.idempotency_key)
    assert first is not None
    if first.fingerprint != fingerprint:
        raise errors.Invalid(
            "This Idempotency-Key was used with another body. Use a new key for a new request.",
            code="idempotency_key_reused",
        )
    return repository.request_by_id(session, first.request_id)


def _check_method(session: Session, intake: Intake) -> None:
    if intake.method == AUTO:
        return
    entry = methods.get(session, intake.method)
    kind = TargetKind.CLASS if intake.target.kind == TargetKind.CLASS else TargetKind.SAMPLES
    if entry is None or kind not in entry.description["kinds"]:
        raise errors.Invalid(
            f"No method of this name forgets by {intake.target.kind}. GET /v1/methods lists those that do.",
            code="unknown_method",
            details=[{"pointer": "/method", "reason": "unknown or unfit"}],
        )


def _resolve(session: Session, model: Model, target: Target, pseudonymiser: Pseudonymiser) -> Resolved:
    dataset = session.get_one(Dataset, model.dataset_id)
    if target.kind == TargetKind.CLASS:
        return _resolve_classes(session, model, target.classes)
    if target.kind == TargetKind.SUBJECT:
        assert target.subject_id is not None
        try:
            subject = pseudonymiser.subject(dataset.name, target.subject_id)
        except PseudonymError as error:
            raise _not_unicode("/target/subject_id") from error
        positions = lineage.positions_of_subject(session, dataset.id, bytes.fromhex(subject))
        return Resolved([], positions, len(positions))
    try:
        pseudonyms = pseudonymiser.samples(dataset.name, target.sample_ids)
    except PseudonymError as error:
        raise _not_unicode(f"/target/sample_ids/{error.position}") from error
    found = lineage.positions_of(session, dataset.id, [bytes.fromhex(one) for one in pseudonyms])
    unknown = [index for index, position in enumerate(found) if position is None]
    _refuse("sample_ids", unknown, "this dataset has no such sample", "unknown_sample")
    chosen = sorted({position for position in found if position is not None})
    if not chosen:
        raise _empty()
    return Resolved([], chosen, len(chosen))


def _resolve_classes(session: Session, model: Model, classes: Sequence[int]) -> Resolved:
    num_classes = model.num_classes or 0
    unknown = [index for index, label in enumerate(classes) if not 0 <= label < num_classes]
    _refuse("classes", unknown, "this model has no such class", "unknown_class")
    chosen = sorted(set(classes))
    if not chosen:
        raise _empty()
    forgotten = {*interims.forgotten(session, model).classes}
    if not forgotten.issuperset(chosen) and len(forgotten.union(chosen)) == num_classes:
        raise errors.Invalid(
            "The target names every class that the model still knows, which would leave it with none. "
            "Retire the model instead.",
            code="every_class",
        )
    counts = lineage.class_counts(session, model.dataset_id)
    return Resolved(chosen, None, sum(counts.get(label, 0) for label in chosen))


def _route(session: Session, model: Model, request: ForgetRequest, resolved: Resolved) -> None:
    """Send a received request where it belongs: closed at once, held, or queued."""
    if not resolved.num_samples:
        lifecycle.move(session, request, Status.REJECTED, reason="no_match")
        return
    earlier = _run_that_did_it(session, model, resolved)
    if earlier is not None:
        request.run_id = earlier
        lifecycle.move(session, request, Status.COMPLETED, reason="already_forgotten", run=str(earlier))
        return
    policy = Policy.model_validate(model.policy)
    if policy.approval_required:
        lifecycle.move(session, request, Status.HELD, reason="approval_required")
    elif policy.cancel_window_seconds:
        request.held_until = request.received_at + timedelta(seconds=policy.cancel_window_seconds)
        lifecycle.move(session, request, Status.HELD, reason="cancel_window")
    else:
        lifecycle.enqueue(session, request)


def _run_that_did_it(session: Session, model: Model, resolved: Resolved) -> uuid.UUID | None:
    """Return the last run that forgot part of the target, if all of it is forgotten."""
    if resolved.classes:
        by_class = lineage.forgotten_classes(session, model.id)
        runs = [by_class.get(label) for label in resolved.classes]
    else:
        by_position = lineage.runs_that_forgot(session, model.id, resolved.positions or [])
        runs = [by_position.get(position) for position in resolved.positions or []]
    done = [run for run in runs if run is not None]
    return max(done) if done and len(done) == len(runs) else None


def _refuse(field: str, indices: Sequence[int], reason: str, code: str) -> None:
    if indices:
        raise errors.Invalid(
            f"{len(indices)} of the target's {field} cannot be resolved: {reason}.",
            code=code,
            details=[{"pointer": f"/target/{field}/{index}", "reason": reason} for index in indices[:100]],
        )


def _not_unicode(pointer: str) -> errors.Invalid:
    reason = "this identifier is not valid Unicode"
    return errors.Invalid(
        f"The target cannot be read: {reason}. Send the identifier as it stands in the manifest.",
        code="malformed_identifier",
        details=[{"pointer": pointer, "reason": reason}],
    )


def _empty() -> errors.Invalid:
    return errors.Invalid(
        "The target is empty. Name at least one class, sample or subject.", code="empty_target"
    )


def fingerprint(body: bytes) -> str:
    """Return what an idempotency key is compared by: the SHA-256 of the body, hex."""
    return hashlib.sha256(body).hexdigest()
