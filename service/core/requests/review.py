"""What a person needs to decide on a request that no rung could serve: what was tried, and what can be done.

Nothing is decided here, and nothing is read but rows. A report may come from a worker of another release:
what it lacks is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core import clock
from service.core.registry.models import Candidate, Model
from service.core.requests.interims import is_settled
from service.core.requests.lifecycle import EXTENSION_MONTHS
from service.core.requests.models import ForgetRequest, Run
from service.core.requests.states import DECIDABLE, Status


class Choice(StrEnum):
    """What a person decides."""

    APPROVE = "approve"
    DENY = "deny"
    EXTEND = "extend"
    ACCEPT = "accept"


@dataclass(frozen=True)
class Trial:
    """One rung that was tried.

    Attributes:
        number: Its place in the run, from 1.
        methods: Names of its methods.
        steps: Method, version, parameters, seconds and claimed guarantee of each, if there was a candidate.
        seconds: That its methods took together; None if none came to an end.
        failure: Why there was no candidate to audit.
        verdict: Of its audit; None without.
        failed: Checks that refused it, as its report has them.
        undecided: Checks that could not decide.
    """

    number: int
    methods: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    seconds: float | None
    failure: str | None
    verdict: str | None
    failed: tuple[Mapping[str, Any], ...]
    undecided: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Option:
    """One thing that a person may do, or may not and why."""

    choice: Choice
    is_possible: bool
    text: str


@dataclass(frozen=True)
class Review:
    """A request that awaits a decision.

    Attributes:
        candidate: What may be accepted, if anything.
        rung: The number of the rung it comes from.
        exact_seconds: What retraining exactly would cost, as measured; None if that is not known.
        options: What can be done.
    """

    candidate: Candidate | None
    rung: int | None
    exact_seconds: float | None
    options: tuple[Option, ...]


def tried(run: Run | None) -> tuple[Trial, ...]:
    """Return every rung that a run has tried, in order."""
    return tuple(_trial(number, rung) for number, rung in enumerate(run.rungs if run else (), start=1))


def look(request: ForgetRequest, model: Model, run: Run | None, candidate: Candidate | None) -> Review | None:
    """Return what is needed to decide on a request; None if it awaits no decision."""
    if request.status not in DECIDABLE:
        return None
    if candidate is not None and candidate.base_number != model.served_version:
        candidate = None
    if request.status != Status.NEEDS_REVIEW:
        candidate = None
    rung = None
    if candidate is not None and run is not None:
        rung = len(run.rungs) if run.rung is None else run.rung + 1
    return Review(
        candidate=candidate,
        rung=rung,
        exact_seconds=model.training_seconds,
        options=(
            _accept(request, candidate, rung),
            Option(Choice.APPROVE, True, _approval(request, candidate)),
            Option(Choice.DENY, True, _denial(request, candidate)),
            _extension(request),
        ),
    )


def _trial(number: int, rung: Mapping[str, Any]) -> Trial:
    audit: Mapping[str, Any] = rung.get("audit") or {}
    steps: Sequence[Mapping[str, Any]] = rung["steps"]
    gates = [
        check
        for check in audit.get("checks", ())
        if check.get("is_gate", True) and not check.get("is_outranked", False) and not check["passed"]
    ]
    seconds = [step["seconds"] for step in steps if step.get("seconds") is not None]
    return Trial(
        number=number,
        methods=tuple(step["method"] for step in steps) or tuple(rung.get("methods", ())),
        steps=tuple(steps),
        seconds=sum(seconds) if seconds else None,
        failure=rung.get("text"),
        verdict=audit.get("verdict"),
        failed=tuple(check for check in gates if check.get("is_decided", True)),
        undecided=tuple(check for check in gates if not check.get("is_decided", True)),
    )


def _accept(request: ForgetRequest, candidate: Candidate | None, rung: int | None) -> Option:
    if candidate is None:
        text = "Nothing can be accepted: there is no candidate that follows the version served now."
        return Option(Choice.ACCEPT, False, text)
    return Option(
        Choice.ACCEPT,
        True,
        f"Publish the candidate of rung {rung}, whose audit said {candidate.verdict}, as "
        f"{candidate.guarantee}. It closes every request of its run; each certificate says that you accepted "
        "it, and why.",
    )


def _approval(request: ForgetRequest, candidate: Candidate | None) -> str:
    how = "retrain exactly for it" if is_settled(request) else "send it through another run"
    text = f"{how[:1].upper()}{how[1:]}."
    return f"{text} The candidate is given up." if candidate is not None else text


def _denial(request: ForgetRequest, candidate: Candidate | None) -> str:
    text = "Close it without forgetting."
    if is_settled(request):
        text = "Close it. The interim version that has forgotten it stays, until the model is retrained."
    return f"{text} The candidate is given up." if candidate is not None else text


def _extension(request: ForgetRequest) -> Option:
    latest = clock.add_months(request.submitted_at, 1 + EXTENSION_MONTHS)
    if request.due_at >= latest:
        return Option(Choice.EXTEND, False, "The due date was moved before, and it may be moved only once.")
    return Option(
        Choice.EXTEND, True, f"Move the due date to {latest:%Y-%m-%d}, once, and tell the person why."
    )
