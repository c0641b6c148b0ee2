"""One method on one case: the tuning half of the holdout chooses what is audited, the unseen half audits it.

The settings are tried one after the other, those first that passed other cases. Each outcome is judged as a
search judges it, on tuning samples (`workers.unlearning.judges`); what the judge finds good is audited, and
the first that passes, or that the audit cannot judge, ends the case. Where nothing is found good, the best is
audited all the same, so that the record says what a request would have met.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workers.audit.suite import Report
from workers.numerics.params import Params
from workers.preparation.rehearsal import experience
from workers.preparation.rehearsal.cases import Case
from workers.preparation.rehearsal.record import Outcome, Setting, Try, key_of
from workers.unlearning import parameters, run
from workers.unlearning.base import ForgetProblem, Kind, Method
from workers.unlearning.errors import UnlearningError
from workers.unlearning.judges import ClassJudge, Opinion, SampleJudge

MAX_SETTINGS = 3
"""Tried on one case; the others get their turn where these failed elsewhere."""
ENDS = (Outcome.PASSED, Outcome.INCONCLUSIVE)
"""Outcomes that end a case: what could not be told of one setting cannot be told of another."""
UNFIT = "unfit"
"""Reason of a refusal by the tuning samples, where another setting was better."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Copies of one version to rehearse on.

    Attributes:
        pose: case -> what a request for it would ask of a method.
        examine: case, candidate, claim -> what the audit says.
    """

    pose: Callable[[Case], ForgetProblem]
    examine: Callable[[Case, Params, str], Report]


@dataclass(frozen=True)
class Offer:
    """A method and the settings that it is rehearsed at, the cheapest first."""

    method: Method
    settings: tuple[Setting, ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a method made of a case at one setting."""

    setting: Setting
    params: Params
    seconds: float
    opinion: Opinion | None

    @property
    def order(self) -> tuple[float, ...]:
        """Sorts the best first."""
        return self.opinion.order if self.opinion else ()


def attempt(stage: Stage, case: Case, offer: Offer, earlier: Iterable[Try]) -> list[Try]:
    """Rehearse one method on one case.

    Args:
        stage: copies of the version.
        case: to forget.
        offer: the method.
        earlier: tries of the method on other cases of this kind.

    Returns:
        At least one try.

    Raises:
        UnlearningError: it may succeed later, such as for want of memory.
        TooDearError: as the meter says.
        DatasetRowError: a row cannot be read.
    """
    problem = stage.pose(case)
    judge = _judge(problem)
    found: list[Try] = []
    waiting: list[Candidate] = []
    for setting in in_order(offer.settings, earlier)[:MAX_SETTINGS]:
        made = _forget(problem, offer.method, setting, judge)
        if isinstance(made, UnlearningError):
            found.append(_try(case, offer.method, setting, Outcome.REFUSED, made.code))
        elif made.opinion is not None and not made.opinion.is_good:
            waiting.append(made)
        else:
            found.append(_audited(stage, case, offer.method, made))
            if found[-1].outcome in ENDS:
                break
    if waiting and all(one.outcome is Outcome.REFUSED for one in found):
        best = min(waiting, key=lambda each: each.order)
        waiting.remove(best)
        found.append(_audited(stage, case, offer.method, best))
    unfit = (_try(case, offer.method, each.setting, Outcome.REFUSED, UNFIT) for each in waiting)
    return [*found, *unfit]


def in_order(settings: Sequence[Setting], earlier: Iterable[Try]) -> list[Setting]:
    """Return the settings, those that are likeliest to pass first, those that only lost last."""
    known = {key_of(tally.setting): tally for tally in experience.tallies(earlier)}

    def rank(setting: Setting) -> tuple[int, float]:
        tally = known.get(key_of(setting))
        if tally is None:
            return 1, 0.0
        return (0, -tally.worth) if tally.passed or tally.inconclusive else (2, 0.0)

    return sorted(settings, key=rank)


def _forget(
    problem: ForgetProblem, method: Method, setting: Setting, judge: ClassJudge | SampleJudge | None
) -> Candidate | UnlearningError:
    started_at = time.perf_counter()
    try:
        result = run.forget(method, problem, parameters.read(method.Parameters, setting))
    except UnlearningError as error:
        if error.is_retryable:
            raise
        return error
    seconds = time.perf_counter() - started_at
    return Candidate(setting, result.params, seconds, judge(result.params) if judge else None)


def _judge(problem: ForgetProblem) -> ClassJudge | SampleJudge | None:
    """Return who chooses; None where the held-out samples cannot tell, and the audit is asked at once."""
    try:
        if problem.kind is Kind.CLASS:
            return ClassJudge.of(problem, problem.classes).with_forget_set(problem)
        return SampleJudge.of(problem)
    except UnlearningError:
        return None


def _audited(stage: Stage, case: Case, method: Method, made: Candidate) -> Try:
    report = stage.examine(case, made.params, method.guarantee.value)
    outcome = Outcome(report.verdict.outcome.value)
    reasons = [
        check.name
        for check in report.checks
        if check.name in report.gates and not check.passed and not check.is_outranked
    ]
    return _try(case, method, made.setting, outcome, ",".join(reasons), _drop(report), made.seconds)


def _drop(report: Report) -> float | None:
    """Return the accuracy that was lost on what was to be kept; None where nothing was measured."""
    before, after = (each.retained_accuracy if each else None for each in (report.before, report.after))
    return None if before is None or after is None else before - after


def _try(
    case: Case,
    method: Method,
    setting: Setting,
    outcome: Outcome,
    reason: str,
    drop: float | None = None,
    seconds: float = 0.0,
) -> Try:
    return Try(
        kind=case.kind,
        case=case.name,
        label=case.label,
        num_samples=len(case.positions),
        method=method.name,
        guarantee=method.guarantee.value,
        setting=dict(setting),
        outcome=outcome,
        reason=reason,
        drop=drop,
        seconds=seconds,
    )
