"""What the report of a run's audits says, as JSON: who reads it needs neither this service nor its database.

    {"format": "lethe-audit-report-1", "state": "published", "statement": "Version 2 of digits was ...",
     "model": "digits", "base_version": 1, "version": 2, "guarantee": "approximate", "seed": "1234",
     "asked": [{"kind": "class", "num_requests": 1, "num_classes": 1, "num_samples": 90}],
     "rungs": [{"number": 2, "steps": [...], "audit": {...}}, ...]}

The rung that decided comes first, then the others in the order they were tried. `version` and `guarantee` are
None where nothing was published. Only the fields listed here leave the house: a worker's report may come to
hold more than the public may read. Nothing names a sample or a person, and all is told in counts.

A histogram of few forgotten samples is withheld: whoever holds the weights and suspects somebody could see
whether that person's score stands in it. Numbers that only the base model, the held-out samples or the bank
can be used to check tell nobody as much.

Law: equal facts give equal bytes, so the file of a version can be made again from the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.core.ledger import canonical, claims
from service.core.ledger.claims import Guarantee

FORMAT = "lethe-audit-report-1"
FEWEST_DRAWN = 20
"""Forgotten samples whose histogram may be told; of fewer it is withheld."""

PUBLISHED = "published"
INTERIM = "interim"
REFUSED = "refused"
BROKEN = "broken"

STEP = ("kind", "method", "method_version", "parameters", "guarantee", "caveats", "seconds")
AUDIT = (
    "suite", "verdict", "guarantee", "claimed", "checks", "limits", "before", "after", "histograms",
    "reference", "resurrection", "seconds",
)  # fmt: skip
BOUNDS = ("epsilon", "delta")
_INTERIM_ONLY = "It is an interim version: the requests stay open until an exact retraining closes them."


@dataclass(frozen=True)
class Asked:
    """What all requests of one kind asked for, in counts."""

    kind: str
    num_requests: int
    num_classes: int
    num_samples: int


@dataclass(frozen=True)
class Facts:
    """What a report is made of.

    Attributes:
        model: Name of the model.
        base_version: Version that the run started from.
        version: The one that it published; None if it published none.
        guarantee: What is claimed of that version; None likewise.
        state: How the run ended, or that it has not.
        seed: Of everything random in the run.
        asked: What was to be forgotten.
        rungs: What was tried, in order, as the run keeps it.
        decisive: Which of the rungs decided, counted from 0; the last that was audited, if None.
        acceptance: Who took a candidate upon themselves that its audit did not pass.
    """

    model: str
    base_version: int
    version: int | None
    guarantee: str | None
    state: str
    seed: int
    asked: Sequence[Asked]
    rungs: Sequence[Mapping[str, Any]]
    decisive: int | None = None
    acceptance: claims.Acceptance | None = None


def compose(facts: Facts) -> dict[str, Any] | None:
    """Return the report, or None where nothing has been audited."""
    audited = [place for place, rung in enumerate(facts.rungs) if rung.get("audit")]
    if not audited:
        return None
    first = audited[-1] if facts.decisive is None else facts.decisive
    order = sorted(range(len(facts.rungs)), key=lambda place: place != first)
    return {
        "format": FORMAT,
        "state": facts.state,
        "statement": _statement(facts, facts.rungs[first]),
        "model": facts.model,
        "base_version": facts.base_version,
        "version": facts.version,
        "guarantee": facts.guarantee,
        "seed": str(facts.seed),
        "asked": [
            {
                "kind": one.kind,
                "num_requests": one.num_requests,
                "num_classes": one.num_classes,
                "num_samples": one.num_samples,
            }
            for one in facts.asked
        ],
        "rungs": [_rung(place + 1, facts.rungs[place]) for place in order],
    }


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a report (RFC 8785).

    Raises:
        NotCanonical: It holds NaN or infinity, which no report does.
    """
    return canonical.json_bytes(document)


def _rung(number: int, rung: Mapping[str, Any]) -> dict[str, Any]:
    audit = rung.get("audit")
    return {
        "number": number,
        "steps": [{name: step[name] for name in STEP if name in step} for step in rung["steps"]],
        "failure": rung.get("code"),
        "methods": [step["method"] for step in rung["steps"]] or [*rung.get("methods", ())],
        "audit": _told(audit) if audit else None,
    }


def _told(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an audit's report everybody may read."""
    told = {name: audit[name] for name in AUDIT if name in audit}
    if "histograms" in told:
        told["histograms"] = {
            name: _without_few(side) if isinstance(side, Mapping) else side
            for name, side in (told["histograms"] or {}).items()
        }
    return told


def _without_few(sets: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    return {name: counts for name, counts in sets.items() if name != "forget" or sum(counts) >= FEWEST_DRAWN}


def _statement(facts: Facts, rung: Mapping[str, Any]) -> str:
    """Return the first sentence: the claim of a published version, else that nothing was published."""
    if facts.version is not None and facts.guarantee is not None:
        method = _method(facts, rung, Guarantee(facts.guarantee))
        stated = claims.statement(
            _Standing(facts.model, facts.version, method, _audit(rung), facts.acceptance)
        )
        return f"{stated} {_INTERIM_ONLY}" if facts.state == INTERIM else stated
    said = {
        "pass": "the audit of the last attempt passed",
        "fail": "the audit refused the last attempt",
        "inconclusive": "the audit of the last attempt could not decide",
    }.get(rung["audit"]["verdict"], f"the audit of the last attempt said {rung['audit']['verdict']}")
    of = f"of {facts.model} for version {facts.base_version}"
    if facts.state == REFUSED:
        return f"Nothing {of} was published: {said}."
    if facts.state == BROKEN:
        return f"Nothing {of} was published: the run broke off after {said}."
    return f"Nothing {of} is published yet: {said}, and the run goes on."


@dataclass(frozen=True)
class _Standing:
    """As much of a claim as its sentence is made of."""

    model: str
    version: int
    method: claims.Method
    audit: claims.Audit
    acceptance: claims.Acceptance | None


def _method(facts: Facts, rung: Mapping[str, Any], guarantee: Guarantee) -> claims.Method:
    """Return the step that the guarantee rests on: the one with a proof's bounds, if any has them."""
    steps: Sequence[Mapping[str, Any]] = rung["steps"]
    step = next((one for one in steps if all(name in one["parameters"] for name in BOUNDS)), steps[0])
    return claims.Method(
        name=step["method"],
        version=step["method_version"],
        parameters=step["parameters"],
        seed=facts.seed,
        guarantee=guarantee,
        caveats=tuple(step.get("caveats", ())),
    )


def _audit(rung: Mapping[str, Any]) -> claims.Audit:
    return claims.Audit(suite=rung["audit"]["suite"], verdict=rung["audit"]["verdict"], checks=())
