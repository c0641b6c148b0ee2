"""Turns the results of all checks into one verdict, and says what may be claimed after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from workers.audit.base import APPROXIMATE, CONCERNED, SUPPRESSED, CheckResult, Gating

SUITE = "lethe-audit-3"
"""Name and version of the suite; it changes with every rule, limit or check that could change a verdict."""

MASKING = "masking"


class Outcome(StrEnum):
    """What the audit decided."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """The decision.

    Attributes:
        outcome: only "pass" lets a candidate complete a request.
        guarantee: what may be claimed; the audit never raises it.
    """

    outcome: Outcome
    guarantee: str


def judge(results: Sequence[CheckResult], gating: Mapping[str, Gating], claimed: str) -> Verdict:
    """Decide: a failure that concerns the claim refuses; else anything undecided leaves it open.

    An exact or certified claim rests on how the model was made. It is refused by checks that concern every
    claim, not by comparisons with unseen samples, and not by a check that had no samples to decide on.
    A suppressed claim promises what the output shows and nothing else: what could not be decided about the
    samples leaves it as it is.

    Args:
        results: of the checks that apply.
        gating: which claims each check concerns, by its name.
        claimed: the guarantee that the method claims.
    """
    concerned = [r for r in results if concerns(gating[r.name], claimed) and not r.is_outranked]
    failed = [r for r in concerned if r.is_decided and not r.passed]
    undecided = [r for r in concerned if not r.is_decided]
    is_mask = any(r.name == MASKING for r in failed)
    guarantee = SUPPRESSED if is_mask else claimed
    if failed:
        return Verdict(Outcome.FAIL, guarantee)
    if undecided and claimed == APPROXIMATE:
        return Verdict(Outcome.INCONCLUSIVE, guarantee)
    return Verdict(Outcome.PASS, guarantee)


def concerns(gating: Gating, claimed: str) -> bool:
    """Return whether a failure of a check refuses a claim."""
    return claimed in CONCERNED[gating]
