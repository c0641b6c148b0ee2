"""What a model can promise, kind by kind, in words that go no further than what was rehearsed.

An approximate method is promised where it passed at least half of its cases; the promise says of how many.
Else what is left is exact retraining, if the model can be trained again, or a person's decision. Pure, as
`record` is.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workers.preparation.rehearsal import experience
from workers.preparation.rehearsal.record import CaseKind, Outcome, Rehearsal, Try

ENOUGH = 0.5
WORDS = {
    CaseKind.CLASS: "class requests",
    CaseKind.SAMPLES: "ordinary samples",
    CaseKind.MEMORISED: "memorised samples",
}
EXACT = "exact"
RETRAIN = "retrain"


@dataclass(frozen=True)
class Promise:
    """What requests of one kind may expect.

    Attributes:
        kind: of the request.
        method: that would serve it; None where a person must decide.
        guarantee: what it may claim; None likewise.
        seconds: about what it takes; None where that is not known.
        rehearsed: cases on which the best approximate method was tried.
        passed: those that it passed.
        suite: of the audits.
        text: the promise as a sentence.
    """

    kind: str
    method: str | None
    guarantee: str | None
    seconds: float | None
    rehearsed: int
    passed: int
    suite: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the catalogue shows it."""
        return asdict(self)


def promises(rehearsal: Rehearsal, exact_seconds: float | None, *, can_retrain: bool) -> list[Promise]:
    """Return one promise a kind that was rehearsed, or could not be.

    Args:
        rehearsal: the record.
        exact_seconds: what exact retraining takes; None if it was never measured.
        can_retrain: whether the model can be trained again.
    """
    return [_promise(rehearsal, kind, exact_seconds, can_retrain=can_retrain) for kind in CaseKind]


def _promise(
    rehearsal: Rehearsal, kind: CaseKind, exact_seconds: float | None, *, can_retrain: bool
) -> Promise:
    method, tries = _best(rehearsal.tries_of(kind))
    passed, tried = experience.cases_of(tries)
    suite = rehearsal.suite
    unclear = sum(one.outcome is Outcome.INCONCLUSIVE for one in tries)
    could_not = f", {unclear} could not be judged" if unclear else ""
    beside = (
        f"; {method} passed {passed} of {tried} rehearsals{could_not} ({suite})"
        if tried
        else "; nothing rehearsed"
    )
    if tried and passed >= ENOUGH * tried:
        best = experience.tallies(one for one in tries if one.outcome is Outcome.PASSED)[0]
        text = (
            f"{WORDS[kind]}: {method}, {duration(best.mean_seconds)}, {best.guarantee}, passed {passed} of "
            f"{tried} rehearsals ({suite})"
        )
        return Promise(kind, method, best.guarantee, best.mean_seconds, tried, passed, suite, text)
    if can_retrain:
        about = f", about {duration(exact_seconds)}" if exact_seconds is not None else ""
        text = f"{WORDS[kind]}: exact only{about}{beside}"
        return Promise(kind, RETRAIN, EXACT, exact_seconds, tried, passed, suite, text)
    text = f"{WORDS[kind]}: none, for the model cannot be trained again; a person decides{beside}"
    return Promise(kind, None, None, None, tried, passed, suite, text)


def _best(tries: Sequence[Try]) -> tuple[str, list[Try]]:
    """Return the method that passed the largest share of its cases, and its tries."""
    by_method: dict[str, list[Try]] = {}
    for one in tries:
        by_method.setdefault(one.method, []).append(one)

    def rank(item: tuple[str, list[Try]]) -> tuple[float, int]:
        passed, tried = experience.cases_of(item[1])
        return passed / tried, tried

    return max(by_method.items(), key=rank, default=("", []))


def duration(seconds: float) -> str:
    """Write a span of time in one unit: 0.018 is `18 ms`, 0.2 is `0.2 s`, 2400 is `40 min`."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.0f} h"
