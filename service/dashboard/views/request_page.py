"""What one request's page shows: where it stands, what was done and found, and its story in the ledger."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.core.ledger import repository as ledger
from service.core.ledger.entries import Entry
from service.core.registry import repository as registry
from service.core.registry.models import Model
from service.core.requests import repository as requests
from service.core.requests import review
from service.core.requests.models import ForgetRequest, Run, RunState
from service.core.requests.states import Status
from service.dashboard import figures, repository, words
from service.dashboard.views import audit_page
from service.dashboard.views.audit_page import AuditPage
from service.dashboard.views.facts import Fact, value_in_words
from service.dashboard.views.rows import RequestRow, row_of


@dataclass(frozen=True)
class Event:
    """One entry of the ledger about the request."""

    title: str
    at: datetime
    note: str


@dataclass(frozen=True)
class Step:
    """One method's part of a rung."""

    method: str
    version: str
    kind: str
    guarantee: str | None
    seconds: float | None
    parameters: tuple[Fact, ...]
    diagnostics: tuple[Fact, ...]


@dataclass(frozen=True)
class Rung:
    """One attempt of the run: what was done, and what its audit found."""

    number: int
    name: str
    """The methods, joined."""
    steps: tuple[Step, ...]
    failure: str | None
    """Why there was no candidate to audit."""
    audit: AuditPage | None


@dataclass(frozen=True)
class RunPage:
    """The run that serves or served the request."""

    state: str
    reason: str | None
    base_version: int
    version: int | None
    seed: int
    took: timedelta | None
    guarantee: str | None
    """Of the published version."""
    guarantee_text: str
    promise: str
    caveats: tuple[str, ...]
    rungs: tuple[Rung, ...]
    deciding: int | None = None
    """Which of the rungs was published, or is kept for a person; None for the last."""

    @property
    def measured(self) -> Rung | None:
        """The rung that decided, else the last that was audited: the one whose numbers are shown."""
        if self.deciding is not None:
            return self.rungs[self.deciding]
        return next((rung for rung in reversed(self.rungs) if rung.audit), None)


@dataclass(frozen=True)
class Choice:
    """One thing that a person may do with the request.

    Attributes:
        title: What it is called.
        text: What it would do, or why it cannot be done.
        command: What to type; None where it is not possible.
    """

    title: str
    text: str
    command: str | None


@dataclass(frozen=True)
class Decision:
    """What a person must know to decide, beside the rungs."""

    exact: str
    """What exact retraining would cost."""
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Interim:
    """The version that is served until the request can be closed."""

    version: int
    guarantee: str | None
    guarantee_text: str
    promise: str
    published_at: datetime


@dataclass(frozen=True)
class Evidence:
    """What a third party can check.

    Attributes:
        sha256: Of the certificate.
        leaf: Place in the ledger of the entry that completes the request; None while it waits for one.
    """

    sha256: str
    leaf: int | None


@dataclass(frozen=True)
class RequestPage:
    """One request."""

    title: str
    row: RequestRow
    meaning: str
    classes: tuple[int, ...]
    ground: str | None
    method: str
    received_at: datetime
    held_until: datetime | None
    run: RunPage | None
    interim: Interim | None
    decision: Decision | None
    accepted: str | None
    """Who accepted what the audit did not pass, and why; None where nobody did."""
    events: tuple[Event, ...]
    evidence: Evidence | None

    @property
    def was_done_before(self) -> bool:
        """Whether an earlier run had forgotten all of it already."""
        return self.row.reason == "already_forgotten"


def look(session: Session, now: datetime, request_id: uuid.UUID) -> RequestPage:
    """Read one request's page.

    Raises:
        errors.NotFound: No such request.
    """
    request = requests.request_by_id(session, request_id)
    model = session.get_one(Model, request.model_id)
    run = requests.run_by_id(session, request.run_id) if request.run_id else None
    row = row_of(request, model.name, run, now)
    return RequestPage(
        title=f"Forget {words.target(request.kind, request.classes, request.num_samples)} in {model.name}",
        row=row,
        meaning=words.STATUS_MEANING[Status(request.status)],
        classes=tuple(request.classes),
        ground=request.ground,
        method="chosen by the model's policy" if request.method == "auto" else words.method(request.method),
        received_at=request.received_at,
        held_until=request.held_until,
        run=_run(session, run) if run else None,
        interim=_interim(request),
        decision=_decision(session, request, model, run),
        accepted=_accepted(run) if run else None,
        events=tuple(map(_event, ledger.entries_about(session, request_id))),
        evidence=_evidence(session, request_id),
    )


def _interim(request: ForgetRequest) -> Interim | None:
    told = request.interim
    if told is None:
        return None
    text, promise = words.guarantee(told["guarantee"])
    published_at = datetime.fromisoformat(told["published_at"])
    return Interim(told["version"], told["guarantee"], text, promise, published_at)


def _accepted(run: Run) -> str | None:
    if run.acceptance is None:
        return None
    return f"{run.acceptance['by']}, {words.readable(run.acceptance['reason'])}"


def _decision(session: Session, request: ForgetRequest, model: Model, run: Run | None) -> Decision | None:
    candidate = registry.candidate_of(session, run.id) if run else None
    asked = review.look(request, model, run, candidate)
    if asked is None or request.status != Status.NEEDS_REVIEW:
        return None
    cost = asked.exact_seconds
    return Decision(
        exact="not measured" if cost is None else f"about {figures.seconds(cost)}",
        choices=tuple(
            Choice(
                title=words.headline(option.choice),
                text=option.text,
                command=f"lethe decide {request.id} {option.choice} --reason CODE"
                if option.is_possible
                else None,
            )
            for option in asked.options
        ),
    )


def _run(session: Session, run: Run) -> RunPage:
    rungs = tuple(_rung(number, rung) for number, rung in enumerate(run.rungs, start=1))
    decisive = next((rung for rung in reversed(run.rungs) if rung["steps"]), None)
    if run.rung is not None:
        decisive = run.deciding_rung
    version = registry.version_numbered(session, run.model_id, run.version) if run.version else None
    guarantee = version.guarantee if version else None
    text, promise = words.guarantee(guarantee)
    return RunPage(
        state=RunState(run.state).value,
        reason=run.reason,
        base_version=run.base_version,
        version=run.version,
        seed=run.seed,
        took=run.finished_at - run.started_at if run.finished_at else None,
        guarantee=guarantee,
        guarantee_text=text,
        promise=promise,
        caveats=_caveats(decisive) if decisive else (),
        rungs=rungs,
        deciding=run.rung,
    )


def _caveats(rung: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a rung's methods ask to be known, each once."""
    return tuple(dict.fromkeys(caveat for step in rung["steps"] for caveat in step.get("caveats", ())))


def _rung(number: int, rung: Mapping[str, Any]) -> Rung:
    audit = rung.get("audit")
    methods = [step["method"] for step in rung["steps"]] or rung.get("methods", ())
    return Rung(
        number=number,
        name=words.joined([words.method(method) for method in methods]),
        steps=tuple(map(_step, rung["steps"])),
        failure=rung.get("text"),
        audit=audit_page.read(audit) if audit else None,
    )


def _step(step: Mapping[str, Any]) -> Step:
    return Step(
        method=step["method"],
        version=step["method_version"],
        kind=words.kinds([step["kind"]]),
        guarantee=step.get("guarantee"),
        seconds=step.get("seconds"),
        parameters=_facts(step.get("parameters") or {}),
        diagnostics=_facts(step.get("diagnostics") or {}),
    )


def _facts(values: Mapping[str, Any]) -> tuple[Fact, ...]:
    return tuple(Fact(name, value_in_words(value)) for name, value in values.items())


def _event(entry: Entry) -> Event:
    title = words.ENTRY.get(entry.kind, words.headline(entry.kind))
    return Event(title, entry.at, " · ".join(_notes(entry.body)))


def _notes(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an entry tells beside its kind; the bodies are those that the kernel writes."""
    if "kind" in body:
        yield words.target(body["kind"], body["classes"], body["num_samples"])
    if "reason" in body:
        yield words.reason(body["reason"])
    if "decision" in body:
        yield f"decision: {body['decision']}"
    if "decision_reason" in body:
        yield words.readable(body["decision_reason"])
    if "verdict" in body:
        yield f"the audit said {words.verdict(body['verdict'])[0].text.lower()}"
    if body.get("why") == "attempt_lost":
        yield "the attempt was lost, it waits again"
    if body.get("why") == "handed_over":
        yield "its worker was told to stop, it waits for another"
    if "audit" in body:
        yield f"the audit said {words.verdict(body['audit'])[0].text.lower()}, next rung"
    if "methods" in body:
        yield f"candidate by {words.joined([words.method(name) for name in body['methods']])}"
    if "base_version" in body:
        yield f"from version {body['base_version']}"
    if "version" in body:
        yield f"version {body['version']}, {body['guarantee']}"
    if "by" in body:
        yield f"by {body['by']}"


def _evidence(session: Session, request_id: uuid.UUID) -> Evidence | None:
    certificate = ledger.certificate_of(session, request_id)
    if certificate is None:
        return None
    return Evidence(certificate.sha256, repository.leaf_of(session, certificate))
