"""Intake: one transaction holds requests, their idempotency keys, their ledger entries and their jobs.

There is one way in, for one request or for many: however many come together, they cost the same few
statements. Each has an outcome of its own, and one that is refused leaves nothing and spoils no other. Locks
are taken in one order, keys first and then jobs, each in the order of their names, so that transactions
which take in many cannot wait for each other in a circle.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.core import clock, errors
from service.core.db.base import new_id
from service.core.ledger import repository as ledger
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.lineage.models import Dataset
from service.core.methods import repository as methods
from service.core.methods.models import MethodEntry
from service.core.registry import repository as registry
from service.core.registry.models import Model, ModelState
from service.core.registry.policy import Policy
from service.core.requests import idempotency, insertion, lifecycle, targets
from service.core.requests.models import AUTO, ForgetRequest, TargetKind
from service.core.requests.states import Status
from service.core.requests.targets import Resolved, Target

fingerprint = idempotency.fingerprint


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
        correlation_id: `X-Request-ID` of the call that brought it.
        trace_parent: W3C `traceparent` of that call, if it was traced.
    """

    model: str
    target: Target
    method: str
    submitted_at: datetime | None
    ground: str | None
    idempotency_key: str | None
    fingerprint: str
    correlation_id: str | None = None
    trace_parent: str | None = None


@dataclass(frozen=True)
class Sent:
    """An intake, and the principal who sent it."""

    intake: Intake
    principal: str


Outcome = ForgetRequest | errors.LetheError


def receive(session: Session, intake: Intake, principal: str, pseudonymiser: Pseudonymiser) -> ForgetRequest:
    """Accept a request, or return the one that the same idempotency key made before.

    Raises:
        errors.NotFound: No such model.
        errors.Conflict: The model serves no version yet.
        errors.Invalid: The target names an unknown class or sample (by position in the request), nothing, or
            everything; the method is unknown; or the idempotency key came with another body before.
    """
    [outcome] = receive_all(session, [Sent(intake, principal)], pseudonymiser)
    if isinstance(outcome, errors.LetheError):
        raise outcome
    return outcome


def receive_all(session: Session, sent: Sequence[Sent], pseudonymiser: Pseudonymiser) -> list[Outcome]:
    """Accept requests in their order; each outcome is the request, or what `receive` would raise."""
    claims = [_claim(each, pseudonymiser) for each in sent]
    firsts: dict[idempotency.Name, int] = {}
    for place, claim in enumerate(claims):
        if claim is not None:
            firsts.setdefault(claim.name, place)
    wanted = [claim for place in firsts.values() if (claim := claims[place]) is not None]
    holders = idempotency.claim(session, wanted)
    outcomes: dict[int, Outcome] = {}
    fresh: dict[int, tuple[uuid.UUID, Sent]] = {}
    for place, claim in enumerate(claims):
        if claim is None:
            fresh[place] = (new_id(), sent[place])
        elif (holder := holders.get(claim.name)) is not None:
            is_same = holder.fingerprint == claim.fingerprint
            outcomes[place] = holder.request if is_same else idempotency.reused()
        elif firsts[claim.name] == place:
            fresh[place] = (claim.request_id, sent[place])
    outcomes |= zip(fresh, _accept(session, [*fresh.values()], pseudonymiser), strict=True)
    for place, claim in enumerate(claims):
        if claim is not None and place not in outcomes:
            first = claims[firsts[claim.name]]
            is_same = first is not None and first.fingerprint == claim.fingerprint
            outcomes[place] = outcomes[firsts[claim.name]] if is_same else idempotency.reused()
    refused = {place for place in fresh if isinstance(outcomes[place], errors.LetheError)}
    idempotency.release(session, [claim.name for place in refused if (claim := claims[place]) is not None])
    return [outcomes[place] for place in range(len(sent))]


def _claim(sent: Sent, pseudonymiser: Pseudonymiser) -> idempotency.Claim | None:
    key = sent.intake.idempotency_key
    if key is None:
        return None
    keyed = pseudonymiser.request(sent.intake.fingerprint)
    return idempotency.Claim((sent.principal, key), keyed, new_id())


def _accept(
    session: Session, fresh: Sequence[tuple[uuid.UUID, Sent]], pseudonymiser: Pseudonymiser
) -> list[Outcome]:
    """Resolve, route and write requests that are new."""
    models = registry.models_named(session, {sent.intake.model for _, sent in fresh})
    known = methods.named(session, {sent.intake.method for _, sent in fresh} - {AUTO})
    outcomes: dict[int, Outcome] = {}
    sound: dict[int, targets.Asked] = {}
    for place, (_, sent) in enumerate(fresh):
        try:
            sound[place] = (*_model(models, sent.intake), sent.intake.target)
            _check_method(known, sent.intake)
        except errors.LetheError as error:
            outcomes[place] = error
            sound.pop(place, None)
    resolved: dict[int, Resolved] = {}
    for place, found in zip(sound, targets.resolve(session, [*sound.values()], pseudonymiser), strict=True):
        if isinstance(found, errors.LetheError):
            outcomes[place] = found
        else:
            resolved[place] = found
    facts: list[ledger.Fact] = []
    requests: dict[int, ForgetRequest] = {}
    for place, target in resolved.items():
        model, (request_id, sent) = sound[place][0], fresh[place]
        requests[place] = _request(request_id, sent, model, target)
        facts.append(_received(requests[place], model))
        facts.append(_route(requests[place], model, target.forgotten_by))
    insertion.insert_all(session, requests.values())
    ledger.append_all(session, facts)
    lifecycle.call_for_runs(session, [one for one in requests.values() if one.status == Status.QUEUED])
    return [requests[place] if place in requests else outcomes[place] for place in range(len(fresh))]


def _model(models: Mapping[str, tuple[Model, Dataset]], intake: Intake) -> tuple[Model, Dataset]:
    if intake.model not in models:
        raise registry.unknown_model()
    model, dataset = models[intake.model]
    if model.state != ModelState.READY:
        raise errors.Conflict(
            f"The model is {model.state}; it can forget once a version of it is published.",
            code="model_not_ready",
        )
    return model, dataset


def _check_method(known: Mapping[str, MethodEntry], intake: Intake) -> None:
    if intake.method == AUTO:
        return
    entry = known.get(intake.method)
    kind = TargetKind.CLASS if intake.target.kind == TargetKind.CLASS else TargetKind.SAMPLES
    if entry is None or kind not in entry.description["kinds"]:
        raise errors.Invalid(
            f"No method of this name forgets by {intake.target.kind}. GET /v1/methods lists those that do.",
            code="unknown_method",
            details=[{"pointer": "/method", "reason": "unknown or unfit"}],
        )


def _request(request_id: uuid.UUID, sent: Sent, model: Model, target: Resolved) -> ForgetRequest:
    intake, now = sent.intake, clock.now()
    submitted_at = min(intake.submitted_at or now, now)
    return ForgetRequest(
        id=request_id,
        model_id=model.id,
        principal=sent.principal,
        status=Status.RECEIVED,
        kind=intake.target.kind,
        classes=target.classes,
        positions=target.positions,
        num_samples=target.num_samples,
        method=intake.method,
        ground=intake.ground,
        submitted_at=submitted_at,
        received_at=now,
        due_at=clock.add_months(submitted_at, 1),
        correlation_id=intake.correlation_id,
        trace_parent=intake.trace_parent,
    )


def _received(request: ForgetRequest, model: Model) -> ledger.Fact:
    told = {
        "request": str(request.id),
        "model": model.name,
        "kind": request.kind,
        "classes": request.classes,
        "num_samples": request.num_samples,
        "submitted_at": clock.rfc3339(request.submitted_at),
        "due_at": clock.rfc3339(request.due_at),
        "by": request.principal,
    }
    return ledger.Fact("request.received", told, request.id)


def _route(request: ForgetRequest, model: Model, run_id: uuid.UUID | None) -> ledger.Fact:
    """Send a received request where it belongs: closed at once, held, or queued."""
    if not request.num_samples:
        return lifecycle.step(request, Status.REJECTED, reason="no_match")
    if run_id is not None:
        request.run_id = run_id
        return lifecycle.step(request, Status.COMPLETED, reason="already_forgotten", run=str(run_id))
    policy = Policy.model_validate(model.policy)
    if policy.approval_required:
        return lifecycle.step(request, Status.HELD, reason="approval_required")
    if policy.cancel_window_seconds:
        request.held_until = request.received_at + timedelta(seconds=policy.cancel_window_seconds)
        return lifecycle.step(request, Status.HELD, reason="cancel_window")
    return lifecycle.step(request, Status.QUEUED)
