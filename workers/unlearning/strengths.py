"""Chooses the strength of a change on held-out samples, where a method has one number to set.

The strength is the one that the judges of `judges` like best: for classes, remaining ones recognised and
forgotten ones not; for samples, nothing lost and the forget set as confident as unseen samples are.
"""

from collections.abc import Callable, Sequence

from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.judges import ClassJudge, Opinion, SampleJudge


def best(
    problem: ForgetProblem, changed: Callable[[float], Params], strengths: Sequence[float]
) -> tuple[float, Opinion]:
    """Return the strength whose outcome is judged best, the first of equals, and the opinion of it.

    Args:
        problem: gives the tuning set, the forget set and the model.
        changed: strength -> a full state.
        strengths: to try; at least one.

    Raises:
        MissingNeedError: there are no held-out samples of remaining classes.
        IneffectiveError: no strength leaves finite outputs, or held-out samples cannot judge this forget set.
        DatasetRowError: a row cannot be read.
    """
    judge = ClassJudge.of(problem, problem.classes) if problem.kind is Kind.CLASS else SampleJudge.of(problem)
    found: tuple[float, Opinion] | None = None
    for done, strength in enumerate(strengths, start=1):
        opinion = judge(changed(strength))
        if opinion is not None and (found is None or opinion.order < found[1].order):
            found = strength, opinion
        problem.progress(done / (len(strengths) + 1))
    if found is None:
        raise IneffectiveError(
            "expected a strength that leaves finite outputs, got none: state a smaller one, or choose "
            "another method"
        )
    return found
