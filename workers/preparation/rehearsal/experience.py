"""What tries teach: which method to leave out, which setting to take, and how sure that is.

A method is *seen to fail* on a kind of case when at least three tries were made on as many cases and every
case was lost; on one class, when that class's own tries were all lost. An inconclusive audit is not a loss.
A setting is taken from the record only if it passed: of those, the one whose next try is most likely to pass
by Laplace's rule of succession, (passed + 1) / (tried + 2), so that once of once does not beat nine of ten;
of equals the cheapest.

Settings are tried one after the other on a case until one passes, so that a later one meets the harder
cases. Its share is the smaller for it: a record errs to the side of caution.

Pure, as `record` is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workers.preparation.rehearsal.record import LOST, CaseKind, Outcome, Rehearsal, Setting, Try

MIN_CASES = 3
"""So many cases must be lost before a method is left out for a whole kind."""


@dataclass(frozen=True)
class Tally:
    """What became of the tries of one method at one setting.

    Attributes:
        method: its name.
        guarantee: what it claims.
        setting: what differs from its defaults.
        tried: tries.
        passed: those whose audit passed.
        inconclusive: those whose audit could not tell.
        mean_drop: of the accuracy on what was to be kept, over those that were audited; None for none.
        mean_seconds: that the method took.
    """

    method: str
    guarantee: str
    setting: Setting
    tried: int
    passed: int
    inconclusive: int
    mean_drop: float | None
    mean_seconds: float

    @property
    def worth(self) -> float:
        """How likely the next try is to pass, by the rule of succession."""
        return (self.passed + 1) / (self.tried + 2)


def tallies(tries: Iterable[Try]) -> list[Tally]:
    """Return one tally a method and setting, the best first."""
    by_key: dict[tuple[str, str], list[Try]] = {}
    for one in tries:
        by_key.setdefault(one.key, []).append(one)
    found = [_tally(own) for own in by_key.values()]
    return sorted(found, key=lambda each: (-each.worth, each.mean_seconds))


def best_setting(rehearsal: Rehearsal, method: str, kind: CaseKind, label: int | None = None) -> Setting:
    """Return the setting to forget by; the method's own defaults, {}, where none has passed.

    Args:
        rehearsal: the record.
        method: whose setting.
        kind: of the request.
        label: the class that is asked for alone; what its own tries showed goes before what others did.
    """
    of_method = [one for one in rehearsal.tries_of(kind) if one.method == method]
    own = [one for one in of_method if label is not None and one.label == label]
    for tries in (own, of_method):
        passed = [tally for tally in tallies(tries) if tally.passed]
        if passed:
            return passed[0].setting
    return {}


def is_seen_to_fail(rehearsal: Rehearsal, method: str, kinds: Sequence[CaseKind]) -> bool:
    """Whether a method lost every case of each of these kinds, and enough of them all."""
    of_method = [one for one in rehearsal.tries_of(*kinds) if one.method == method]
    return len({one.case for one in of_method}) >= MIN_CASES and _is_lost(of_method)


def is_seen_to_fail_on(rehearsal: Rehearsal, method: str, label: int) -> bool:
    """Whether a method lost this very class."""
    own = [one for one in rehearsal.tries_of(CaseKind.CLASS) if (one.method, one.label) == (method, label)]
    return bool(own) and _is_lost(own)


def cases_of(tries: Iterable[Try]) -> tuple[int, int]:
    """Return how many cases were passed, at whichever setting, and how many were tried."""
    cases: dict[str, bool] = {}
    for one in tries:
        cases[one.case] = cases.get(one.case, False) or one.outcome is Outcome.PASSED
    return sum(cases.values()), len(cases)


def _is_lost(tries: Iterable[Try]) -> bool:
    return all(one.outcome in LOST for one in tries)


def _tally(tries: Sequence[Try]) -> Tally:
    drops = [one.drop for one in tries if one.drop is not None]
    return Tally(
        method=tries[0].method,
        guarantee=tries[0].guarantee,
        setting=tries[0].setting,
        tried=len(tries),
        passed=sum(one.outcome is Outcome.PASSED for one in tries),
        inconclusive=sum(one.outcome is Outcome.INCONCLUSIVE for one in tries),
        mean_drop=sum(drops) / len(drops) if drops else None,
        mean_seconds=sum(one.seconds for one in tries) / len(tries),
    )
