"""The words people read: what a state, a guarantee, a method's need or a ledger entry is called.

Wording is a promise here. `approximate` is never called erased; only `exact` says retrained. What has no
entry is shown under its own name, made readable. The words of an audit are those of its report.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.core.ledger.claims import Guarantee
from service.core.reports.words import NUMBERS as NUMBERS
from service.core.reports.words import Label as Label
from service.core.reports.words import Tone as Tone
from service.core.reports.words import check as check
from service.core.reports.words import headline as headline
from service.core.reports.words import joined as joined
from service.core.reports.words import method as method
from service.core.reports.words import outcome as outcome
from service.core.reports.words import readable as readable
from service.core.reports.words import verdict as verdict
from service.core.requests.models import TargetKind
from service.core.requests.states import Status
from service.dashboard.figures import counted

MOST_LABELS = 8
"""More classes than this are counted, not listed."""


STATUS: Mapping[Status, Label] = {
    Status.RECEIVED: Label("Received", Tone.WAITING),
    Status.HELD: Label("Held", Tone.WAITING),
    Status.QUEUED: Label("Queued", Tone.WAITING),
    Status.RUNNING: Label("Running", Tone.MOVING),
    Status.AUDITING: Label("Auditing", Tone.MOVING),
    Status.COMPLETED: Label("Completed", Tone.DONE),
    Status.NEEDS_REVIEW: Label("Needs review", Tone.ASKING),
    Status.ACCEPTED: Label("Accepted", Tone.MOVING),
    Status.REJECTED: Label("Rejected", Tone.QUIET),
    Status.CANCELLED: Label("Cancelled", Tone.QUIET),
    Status.FAILED: Label("Failed", Tone.BROKEN),
}

STATUS_MEANING: Mapping[Status, str] = {
    Status.RECEIVED: "It has been accepted and will be queued.",
    Status.HELD: "It waits for a person, or for its cancel window to end.",
    Status.QUEUED: "It waits for its model's next run.",
    Status.RUNNING: "A worker is making the model forget.",
    Status.AUDITING: "A candidate version exists. The audit decides whether it may be published.",
    Status.COMPLETED: "",
    Status.NEEDS_REVIEW: "No attempt passed its audit and nothing was published. A person decides.",
    Status.ACCEPTED: "A person accepted what its audit did not pass. A worker publishes it.",
    Status.REJECTED: "It was closed without a change to the model.",
    Status.CANCELLED: "It was withdrawn before a version that has forgotten it was published.",
    Status.FAILED: "The run could not be finished. A person can send it through again.",
}

GUARANTEE: Mapping[Guarantee, tuple[str, str]] = {
    Guarantee.EXACT: ("Exact", "Retrained without the forgotten data."),
    Guarantee.CERTIFIED: (
        "Certified",
        "A proof bounds how far it can be told from a retrained model, by epsilon and delta.",
    ),
    Guarantee.APPROXIMATE: ("Approximate", "Changed to forget, then audited. Not proven erased."),
    Guarantee.SUPPRESSED: (
        "Suppressed",
        "The output is masked. The parameters may still hold what was learned.",
    ),
}

NEED: Mapping[str, str] = {
    "codes": "mnemonic codes from training",
    "class_fishers": "per-class Fisher information",
    "forget_set": "the data to forget",
    "retain_set": "the data to keep",
    "tuning_set": "held-out data for tuning",
    "recipe": "the training recipe",
    "slices": "a training in shards or slices",
    "update_log": "the log that the training recorded",
    "head": "a last layer trained to be forgotten by proof",
}

REASON: Mapping[str, str] = {
    "no_match": "nothing in the dataset matches the request",
    "already_forgotten": "everything asked for had been forgotten before",
    "approval_required": "the model's policy asks for a person's approval",
    "cancel_window": "it can still be cancelled",
    "audit_refused": "no attempt passed its audit",
    "attempts_exhausted": "every attempt was lost",
    "engine_died": "the process that computed died in every attempt",
    "deadline_passed": "it computed past its deadline and was killed",
    "interim_published": "an interim version is served, and the run that closes the request is to come",
    "accepted_by_person": "a person accepted the candidate",
    "candidate_stale": "another version was published before what a person accepted could be",
}

KIND: Mapping[str, Sequence[str]] = {"class": ("classes",), "samples": ("samples", "persons")}
"""What a method that serves this kind of request can forget."""

FACT: Mapping[str, str] = {
    "accuracy_holdout": "Accuracy, held-out",
    "accuracy_codes": "Accuracy on codes",
    "num_holdout": "Held-out samples",
}

ENTRY: Mapping[str, str] = {
    "request.received": "Received",
    "request.held": "Put on hold",
    "request.queued": "Queued",
    "request.running": "Run started",
    "request.auditing": "Audit started",
    "request.completed": "Completed",
    "request.needs_review": "Needs review",
    "request.accepted": "Accepted by a person",
    "request.joined_interim": "Found forgotten by an interim version",
    "request.rejected": "Rejected",
    "request.cancelled": "Cancelled",
    "request.failed": "Failed",
    "request.extended": "Due date extended",
}


def status(value: str) -> Label:
    """Return how a request's state is shown."""
    return STATUS[Status(value)]


def guarantee(value: str | None) -> tuple[str, str]:
    """Return a guarantee's name and what may be said of it."""
    return (
        GUARANTEE[Guarantee(value)] if value else ("None", "As it was registered: nothing was forgotten yet.")
    )


def kinds(names: Sequence[str]) -> str:
    """Say what a method can forget: `classes, samples and persons`."""
    return joined([word for name in names for word in KIND.get(name, (name,))] or ["nothing"])


def measured(record: Mapping[str, Any]) -> str:
    """Say for what a method was measured against retraining, and whether it qualified."""
    word = "qualified" if record["qualified"] else "did not qualify"
    return f"{record['family']} models, {kinds([record['kind']])}: {word}"


def target(kind: str, classes: Sequence[int], num_samples: int) -> str:
    """Say what a request is about in counts and labels, never which samples."""
    if kind == TargetKind.CLASS:
        if len(classes) > MOST_LABELS:
            return f"{len(classes)} classes"
        return f"{'class' if len(classes) == 1 else 'classes'} {joined([str(label) for label in classes])}"
    if kind == TargetKind.SUBJECT:
        return "one person"
    return counted(num_samples, "sample")


def reason(code: str) -> str:
    """Say a reason code in words."""
    return REASON.get(code, readable(code))
