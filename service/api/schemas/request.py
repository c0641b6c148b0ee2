"""A forget request as the API shows it: counts and labels, never the ids that a caller named."""

import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from service.api.schemas.model import model_url
from service.api.schemas.values import Moment
from service.core.ledger.claims import Guarantee
from service.core.requests import review
from service.core.requests.certificates import step_for
from service.core.requests.models import ForgetRequest, Run, TargetKind
from service.core.requests.review import Choice, Review, Trial
from service.core.requests.states import IN_RUN, Status


class TargetView(BaseModel):
    """What is to be forgotten, as far as others may know."""

    kind: TargetKind
    classes: list[int]
    num_samples: int


class RunView(BaseModel):
    """The run that serves the request, by the step that fits it."""

    method: str | None
    method_version: str | None
    parameters: dict[str, Any]
    guarantee: str | None
    base_version: int
    version: int | None
    attempts: int
    seconds: float | None


class CheckView(BaseModel):
    """One check of the audit."""

    name: str
    value: float
    interval: list[float] | None
    threshold: float | None
    passed: bool
    is_decided: bool = True
    detail: str = ""


class AuditView(BaseModel):
    """What the audit of the deciding rung found."""

    verdict: str
    checks: list[CheckView]


class ProgressView(BaseModel):
    """How far the run is; `fraction` of the stage, in [0, 1]."""

    stage: str
    fraction: float


class StepView(BaseModel):
    """One method's part of a rung."""

    kind: str
    method: str
    method_version: str
    parameters: dict[str, Any]
    guarantee: str | None = None
    seconds: float | None = None


class RungView(BaseModel):
    """One rung that was tried; `failed` and `undecided` are the checks that kept it from being published."""

    number: int
    methods: list[str]
    steps: list[StepView]
    seconds: float | None
    failure: str | None
    verdict: str | None
    failed: list[CheckView]
    undecided: list[CheckView]


class InterimView(BaseModel):
    """The version that is served while the request waits for the run that closes it."""

    version: int
    guarantee: str | None
    published_at: Moment


class AcceptanceView(BaseModel):
    """Who accepted what the audit did not pass: a principal's id, and a reason code."""

    by: str
    reason: str
    at: Moment


class CandidateView(BaseModel):
    """What may be accepted."""

    rung: int | None
    verdict: str
    guarantee: str
    base_version: int


class ChoiceView(BaseModel):
    """One decision, whether it is possible, and what it would do."""

    decision: Choice
    is_possible: bool
    text: str


class ReviewView(BaseModel):
    """What a person needs to decide; `exact_seconds` is the measured cost of retraining."""

    candidate: CandidateView | None
    exact_seconds: float | None
    due_at: Moment
    choices: list[ChoiceView]


class RequestView(BaseModel):
    """One forget request."""

    id: uuid.UUID
    model: str
    target: TargetView
    status: Status
    reason: str | None
    received_at: Moment
    due_at: Moment
    completed_at: Moment | None
    progress: ProgressView | None
    run: RunView | None
    audit: AuditView | None
    rungs: list[RungView]
    interim: InterimView | None
    acceptance: AcceptanceView | None
    review: ReviewView | None
    correlation_id: str | None
    """`X-Request-ID` of the call that made it: look for it in the logs."""
    links: dict[str, str]


class RequestPage(BaseModel):
    """Some forget requests, newest first."""

    items: list[RequestView]
    next: str | None


class TimelineEntry(BaseModel):
    """One thing that happened to a request, as the ledger tells it."""

    kind: str
    at: Moment
    body: dict[str, Any]


class Timeline(BaseModel):
    """All that happened to a request, in order."""

    items: list[TimelineEntry]


def request_url(request_id: uuid.UUID) -> str:
    """Return a request's path."""
    return f"/v1/forget-requests/{request_id}"


def request_view(
    request: ForgetRequest, model_name: str, run: Run | None, asked: Review | None = None
) -> RequestView:
    """Show a request, with the run that serves or served it, and with what is asked of a person."""
    rung = _deciding_rung(run)
    return RequestView(
        id=request.id,
        model=model_name,
        target=TargetView(kind=request.kind, classes=request.classes, num_samples=request.num_samples),
        status=request.status,
        reason=request.reason,
        received_at=request.received_at,
        due_at=request.due_at,
        completed_at=request.completed_at,
        progress=(
            ProgressView(stage=run.stage, fraction=run.fraction) if run and request.status in IN_RUN else None
        ),
        run=_run_view(request, run, rung) if run else None,
        audit=AuditView.model_validate(rung["audit"]) if rung and rung["audit"] else None,
        rungs=[_rung_view(trial) for trial in review.tried(run)],
        interim=InterimView.model_validate(request.interim) if request.interim else None,
        acceptance=AcceptanceView.model_validate(run.acceptance) if run and run.acceptance else None,
        review=_review_view(request, asked) if asked else None,
        correlation_id=request.correlation_id,
        links=_links(request, model_name),
    )


def _rung_view(trial: Trial) -> RungView:
    return RungView(
        number=trial.number,
        methods=[*trial.methods],
        steps=[StepView.model_validate(step) for step in trial.steps],
        seconds=trial.seconds,
        failure=trial.failure,
        verdict=trial.verdict,
        failed=[CheckView.model_validate(check) for check in trial.failed],
        undecided=[CheckView.model_validate(check) for check in trial.undecided],
    )


def _review_view(request: ForgetRequest, asked: Review) -> ReviewView:
    made = asked.candidate
    return ReviewView(
        candidate=None
        if made is None
        else CandidateView(
            rung=asked.rung,
            verdict=made.verdict,
            guarantee=made.guarantee,
            base_version=made.base_number,
        ),
        exact_seconds=asked.exact_seconds,
        due_at=request.due_at,
        choices=[
            ChoiceView(decision=option.choice, is_possible=option.is_possible, text=option.text)
            for option in asked.options
        ],
    )


def _deciding_rung(run: Run | None) -> Mapping[str, Any] | None:
    """Return the rung that decided, else the last one that got as far as a candidate, if any."""
    if run and run.rung is not None:
        return run.deciding_rung
    return next((rung for rung in reversed(run.rungs) if rung["steps"]), None) if run else None


def _run_view(request: ForgetRequest, run: Run, rung: Mapping[str, Any] | None) -> RunView:
    step: Mapping[str, Any] = step_for(rung, request.kind) if rung else {}
    audit: Mapping[str, Any] = (rung or {}).get("audit") or {}
    guarantee = audit.get("guarantee", step.get("guarantee"))  # an audit may lower what a method claims
    if run.acceptance and guarantee != Guarantee.SUPPRESSED:
        guarantee = Guarantee.APPROXIMATE  # no more can be claimed of what no audit has passed
    return RunView(
        method=step.get("method"),
        method_version=step.get("method_version"),
        parameters=step.get("parameters", {}),
        guarantee=guarantee,
        base_version=run.base_version,
        version=run.version,
        attempts=len(run.rungs),
        seconds=(run.finished_at - run.started_at).total_seconds() if run.finished_at else None,
    )


def _links(request: ForgetRequest, model_name: str) -> dict[str, str]:
    url = request_url(request.id)
    links = {"self": url, "model": model_url(model_name), "timeline": f"{url}/timeline"}
    if request.status == Status.COMPLETED and request.reason is None:  # by a run of its own
        links |= {"certificate": f"{url}/certificate", "proof": f"{url}/proof"}
    return links
