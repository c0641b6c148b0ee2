"""The words an audit is told in: what a check asserts, what a verdict means, what a probe tried.

Wording is a promise here. A check that passed found nothing, which is not a proof; one that could not have
noticed a fault says so; one that decides nothing is only shown. What has no entry is shown under its own
name, made readable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core.reports.drawing.range_bar import Sense
from service.core.reports.numbers import counted, decimal, percent


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


METHOD: Mapping[str, str] = {
    "one_shot": "One-shot mnemonic code",
    "ssd": "Selective synaptic dampening",
    "retrain": "Exact retraining",
    "output_mask": "Masked output",
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

CHECK: Mapping[str, tuple[str, Sense | None]] = {
    "entropy_attack": ("Attack by entropy, as papers report it", None),
    "finite": ("Every weight and output is a number", Sense.AT_MOST),
    "forgetting": ("Forgotten classes are not recognised", Sense.AT_MOST),
    "loss_attack": ("Attack by loss, as papers report it", Sense.AT_MOST),
    "masking": ("It is more than a mask over the output", Sense.AT_LEAST),
    "mean_drop": ("What is kept still works", Sense.AT_MOST),
    "membership": ("An attacker cannot tell what was forgotten", Sense.NEAR_HALF),
    "neighbours": ("What is like the forgotten still works", Sense.AT_MOST),
    "no_op": ("The model has changed where it matters", Sense.AT_LEAST),
    "over_forgetting": ("The forgotten does not stand out", Sense.AT_LEAST),
    "reference": ("It answers like models that never saw the samples", Sense.AT_LEAST),
    "relapse": ("The class does not come back by further training", Sense.AT_MOST),
    "relearning": ("The class is not relearned from a few samples", Sense.AT_MOST),
    "rescue": ("The class does not come back by one constant", Sense.AT_MOST),
    "svc_attack": ("Attack by confidence, as papers report it", None),
    "worst_class_drop": ("No kept class pays for it", Sense.AT_MOST),
}

VERDICT: Mapping[str, tuple[Label, str]] = {
    "pass": (
        Label("Passed", Tone.DONE),
        "No check of this suite found that the data is still known, or that anything else was harmed. "
        "That is no proof that nothing is left.",
    ),
    "fail": (Label("Refused", Tone.BROKEN), "At least one check found a fault."),
    "inconclusive": (
        Label("Inconclusive", Tone.ASKING),
        "No check found a fault, but at least one that matters could not have noticed one.",
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

SETS: Mapping[str, str] = {
    "forget": "To forget",
    "unseen": "Never seen, same classes",
    "retain": "To keep",
}
"""The sets of samples that histograms are made of, in the order they are shown."""

ATTACK: Mapping[str, str] = {"u_lira": "The U-LiRA attack", "rmia": "The RMIA attack"}

SERVES: Mapping[str, str] = {"class": "for classes", "samples": "for samples and persons"}
"""What a step of a run forgets, by its kind."""

PROBE: Mapping[str, tuple[str, str]] = {
    "rescue": (
        "A constant is added to the class's output",
        "accuracy on the class, by kept samples it takes",
    ),
    "relearning": ("A last layer learns a few of its samples", "accuracy on the class, by samples learned"),
    "relapse": ("Training goes on without it", "accuracy on the class, by epochs"),
}
"""What a probe of resurrection does, and what is on its axes; short, for a phone is narrow."""


def method(name: str) -> str:
    """Return what people call a method."""
    return METHOD.get(name, headline(name))


def check(name: str) -> tuple[str, Sense | None]:
    """Return what a check asserts and on which side of its limit a value should lie, where that is known."""
    return CHECK.get(name, (headline(name), None))


def probe(name: str) -> tuple[str, str]:
    """Return what a probe does and what is on its axes; nothing of the axes where that is not known."""
    return PROBE.get(name, (headline(name), ""))


def verdict(value: str) -> tuple[Label, str]:
    """Return an audit's verdict and what it means."""
    return VERDICT.get(value, (Label(headline(value), Tone.ASKING), ""))


def outcome(*, is_passed: bool, is_decided: bool, is_gate: bool) -> Label:
    """Return how a check came out; one that could not refuse the claim is only shown, whatever it found."""
    if not is_gate:
        return Label("shown only", Tone.QUIET if is_passed else Tone.ASKING)
    if not is_decided:
        return Label("could not tell", Tone.ASKING)
    return Label("passed", Tone.DONE) if is_passed else Label("failed", Tone.BROKEN)


def reference(group: Mapping[str, Any]) -> str:
    """Say in a sentence or two what the reference test found of one group, and what it would have noticed."""
    said = []
    if group.get("p_value") is not None:
        said.append(
            "Samples that nobody learned stray as far from models that never saw them in "
            f"{percent(group['p_value'])} of cases (p {decimal(group['p_value'])})."
        )
    if group.get("base_p_value") is not None:
        said.append(f"For the old model, which had learned them, it is {percent(group['base_p_value'])}.")
    if group.get("power") is not None:
        said.append(f"A model that still knew them would be noticed in {group['power']:.0%} of cases.")
    return " ".join(said)


def attack(name: str, found: Mapping[str, Any]) -> str:
    """Say what a stronger attack found of one group; it decides nothing."""
    old = f"; old model {decimal(found['base'])}" if found.get("base") is not None else ""
    spread = ""
    if found.get("low") is not None and found.get("high") is not None:
        spread = f", 95% interval {decimal(found['low'])} to {decimal(found['high'])}"
    what = readable(str(found.get("quantity") or "value"))
    return f"{ATTACK.get(name, headline(name))}, shown only: {what} {decimal(found['value'])}{spread}{old}."


def asked(group: Mapping[str, Any]) -> str:
    """Say in counts what requests of one kind asked to forget."""
    samples = counted(group["num_samples"], "training sample")
    if group["kind"] == "class":
        return f"{counted(group['num_classes'], 'class', 'classes')} with {samples}"
    if group["kind"] == "subject":
        return f"{counted(group['num_requests'], 'person')} with {samples}"
    return samples


def asked_of(group: Mapping[str, Any]) -> str:
    """Name a group of the reference test by its size."""
    return counted(int(group.get("num_samples") or 0), "forgotten sample")


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
