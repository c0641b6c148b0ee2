"""The words people read: what a state, a guarantee, a method's need, a check or a ledger entry is called.

Wording is a promise here. `approximate` is never called erased; only `exact` says retrained; a check that
passed found nothing, which is not a proof. What has no entry is shown under its own name, made readable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.core.ledger.claims import Guarantee
from service.core.requests.models import TargetKind
from service.core.requests.states import Status
from service.dashboard.charts.range_bar import Sense
from service.dashboard.figures import counted

MOST_LABELS = 8
"""More classes than this are counted, not listed."""


class Tone(StrEnum):
    """How a state looks; each tone has a colour and a shape, so that neither is needed alone."""

    QUIET = "quiet"
    WAITING = "waiting"
    MOVING = "moving"
    DONE = "done"
    ASKING = "asking"
    BROKEN = "broken"


@dataclass(frozen=True)
class Label:
    """A state as it is shown."""

    text: str
    tone: Tone


STATUS: Mapping[Status, Label] = {
    Status.RECEIVED: Label("Received", Tone.WAITING),
    Status.HELD: Label("Held", Tone.WAITING),
    Status.QUEUED: Label("Queued", Tone.WAITING),
    Status.RUNNING: Label("Running", Tone.MOVING),
    Status.AUDITING: Label("Auditing", Tone.MOVING),
    Status.COMPLETED: Label("Completed", Tone.DONE),
    Status.NEEDS_REVIEW: Label("Needs review", Tone.ASKING),
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
    Status.REJECTED: "It was closed without a change to the model.",
    Status.CANCELLED: "It was withdrawn before any run took it.",
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
}

METHOD: Mapping[str, str] = {
    "one_shot": "One-shot mnemonic code",
    "ssd": "Selective synaptic dampening",
    "retrain": "Exact retraining",
    "sisa": "SISA, training in shards",
    "certified_removal": "Certified removal",
    "descent_to_delete": "Descent-to-delete",
    "neg_grad": "NegGrad",
    "neg_grad_plus": "NegGrad+",
    "salun": "SalUn",
    "unsir": "UNSIR",
    "lwsf": "Learning with selective forgetting",
    "erm_ktp": "ERM-KTP",
    "cf_k": "CF-k",
    "eu_k": "EU-k",
}
"""Names that `headline` would spell otherwise than people do; a method needs no entry."""

KIND: Mapping[str, Sequence[str]] = {"class": ("classes",), "samples": ("samples", "persons")}
"""What a method that serves this kind of request can forget."""

FACT: Mapping[str, str] = {
    "accuracy_holdout": "Accuracy, held-out",
    "accuracy_codes": "Accuracy on codes",
    "num_holdout": "Held-out samples",
}

CHECK: Mapping[str, tuple[str, Sense]] = {
    "finite": ("Every weight and output is a number", Sense.AT_MOST),
    "forgetting": ("Forgotten classes are not recognised", Sense.AT_MOST),
    "masking": ("It is more than a mask over the output", Sense.AT_LEAST),
    "mean_drop": ("What is kept still works", Sense.AT_MOST),
    "membership": ("An attacker cannot tell what was forgotten", Sense.NEAR_HALF),
    "no_op": ("The model has changed where it matters", Sense.AT_LEAST),
    "over_forgetting": ("The forgotten does not stand out", Sense.AT_LEAST),
    "worst_class_drop": ("No kept class pays for it", Sense.AT_MOST),
}

VERDICT: Mapping[str, tuple[Label, str]] = {
    "pass": (
        Label("Passed", Tone.DONE),
        "No check of this suite found that the data is still known, or that anything else was harmed. "
        "That is no proof that nothing is left.",
    ),
    "fail": (Label("Refused", Tone.BROKEN), "At least one check found a fault, so this was not published."),
    "inconclusive": (
        Label("Inconclusive", Tone.ASKING),
        "There were too few samples to decide, so this was not published.",
    ),
}

NUMBERS: Mapping[str, tuple[str, str]] = {
    "retained_accuracy": (
        "Accuracy on what is kept",
        "Held-out samples of the kept classes. It should stay.",
    ),
    "forgotten_accuracy": (
        "Accuracy on what is forgotten",
        "The samples to forget. A class should fall to nothing, single samples to where unseen ones are.",
    ),
    "membership_auc": (
        "Success of a membership attack",
        "Guessing from the loss who was learned. One half is a coin toss.",
    ),
}

ENTRY: Mapping[str, str] = {
    "request.received": "Received",
    "request.held": "Put on hold",
    "request.queued": "Queued",
    "request.running": "Run started",
    "request.auditing": "Audit started",
    "request.completed": "Completed",
    "request.needs_review": "Needs review",
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


def method(name: str) -> str:
    """Return what people call a method."""
    return METHOD.get(name, headline(name))


def kinds(names: Sequence[str]) -> str:
    """Say what a method can forget: `classes, samples and persons`."""
    return joined([word for name in names for word in KIND.get(name, (name,))] or ["nothing"])


def check(name: str) -> tuple[str, Sense | None]:
    """Return what a check asserts and on which side of its limit a value should lie, where that is known."""
    return CHECK.get(name, (headline(name), None))


def verdict(value: str) -> tuple[Label, str]:
    """Return an audit's verdict and what it means."""
    return VERDICT.get(value, (Label(headline(value), Tone.ASKING), ""))


def outcome(*, is_passed: bool, is_decided: bool, is_gate: bool) -> Label:
    """Return how a check came out; one that could not refuse the claim is only noted."""
    if is_passed:
        return Label("passed", Tone.DONE)
    if not is_decided:
        return Label("undecided", Tone.ASKING)
    return Label("not passed", Tone.BROKEN) if is_gate else Label("noted", Tone.ASKING)


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


def joined(parts: Sequence[str]) -> str:
    """Join words as a sentence does: `1, 4 and 7`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def readable(name: str) -> str:
    """Turn a code name into words: `worst_class` is `worst class`."""
    return name.replace("_", " ").replace(".", " ").strip()


def headline(name: str) -> str:
    """Turn a code name into words that open a line: `worst_class` is `Worst class`."""
    words = readable(name)
    return words[:1].upper() + words[1:]
