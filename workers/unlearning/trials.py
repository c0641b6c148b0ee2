"""Tries strengths of dampening on held-out samples, all on a few and the best on many, and repairs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Json
from workers.unlearning.dampening import Shares, Strength
from workers.unlearning.errors import DivergedError, IneffectiveError
from workers.unlearning.judges import ClassJudge, Opinion, SampleJudge
from workers.unlearning.training.repair import Course, repair

NUM_COARSE_KEPT = 250  # samples that every strength is tried on ...
NUM_COARSE_GONE = 50
NUM_FINALISTS = 8  # ... and how many strengths go on to all of them
NUM_REPAIRED = 3
RATE_CUTS = (1.0, 0.25, 0.0625)  # of a repair's learning rate, until it converges

Judge = ClassJudge | SampleJudge


@dataclass(frozen=True)
class Candidate:
    """One strength that was tried.

    Attributes:
        strength: of the dampening.
        change: Euclidean norm of what the dampening changed.
        opinion: None where nothing judged it.
        course: of the repair that followed; None without.
    """

    strength: Strength
    change: float
    opinion: Opinion | None = None
    course: Course | None = None

    @property
    def rank(self) -> tuple[tuple[float, ...], float]:
        """Sorts the best first."""
        return (self.opinion.order if self.opinion else (), self.change)

    def to_json(self) -> dict[str, Json]:
        """Return what identifies the outcome."""
        return {**self.strength.to_json(), "repair": self.course.to_json() if self.course else None}

    def __str__(self) -> str:
        repaired = f" repaired={self.course.learning_rate:g}" if self.course else ""
        return f"{self.strength}{repaired}{f' {self.opinion.remark}' if self.opinion else ''}"


def search(
    shares: Shares, params: Params, strengths: Sequence[Strength], judge: Judge | None
) -> list[Candidate]:
    """Try strengths; those that change nothing or leave outputs that are not finite are left out.

    Args:
        shares: of what is to be forgotten.
        params: before it is; not changed.
        strengths: to try.
        judge: None where the request states the strength: then nothing is run.

    Returns:
        Best first, equal ones by their change. Where not all strengths were tried on all samples, those that
        were.

    Raises:
        IneffectiveError: no strength is left.
    """
    coarse = (
        judge.thinned(NUM_COARSE_KEPT, NUM_COARSE_GONE) if judge and len(strengths) > NUM_FINALISTS else judge
    )
    ranked = _tried(shares, params, strengths, coarse)
    if not ranked:
        raise IneffectiveError(
            "expected a strength that changes a weight and leaves finite outputs, got none: "
            "state a smaller rho or dampening, or choose another method"
        )
    if coarse is judge:
        return ranked
    return _tried(shares, params, [each.strength for each in ranked[:NUM_FINALISTS]], judge) or ranked


def repaired(
    problem: ForgetProblem,
    model: nn.Module,
    shares: Shares,
    params: Params,
    ranked: Sequence[Candidate],
    judge: Judge | None,
    course: Course,
) -> tuple[Candidate, Params]:
    """Repair the best candidates that forgot, and return the best outcome.

    Args:
        problem: gives the retained data and the seed.
        model: the architecture.
        shares: as in `search`.
        params: before forgetting.
        ranked: as `search` returned them.
        judge: None repairs the first candidate alone.
        course: its rate is cut where a repair diverges.

    Raises:
        DivergedError: no repair converges.
    """
    forgot = [each for each in ranked if each.opinion is None or each.opinion.has_forgotten]
    # Strengths of one rho break much the same; the first of each is its best.
    first_of = {each.strength.rho: each for each in reversed(forgot or ranked)}
    chosen = sorted(first_of.values(), key=lambda each: each.rank)[: NUM_REPAIRED if judge else 1]
    best: tuple[Candidate, Params] | None = None
    for candidate in chosen:
        outcome = _converged(problem, model, shares.dampen(params, candidate.strength), course)
        if outcome is None:
            continue
        mended, taken = outcome
        opinion = judge(mended) if judge else None
        if judge and opinion is None:
            continue
        found = dataclasses.replace(candidate, opinion=opinion, course=taken)
        if best is None or found.rank < best[0].rank:
            best = found, mended
    if best is None:
        raise DivergedError("expected a repair that converges, none did: state a smaller repair_rate")
    return best


def _tried(
    shares: Shares, params: Params, strengths: Sequence[Strength], judge: Judge | None
) -> list[Candidate]:
    tried = []
    for strength in strengths:
        dampened = shares.dampen(params, strength)
        change = shares.change(params, dampened)
        if change == 0:
            continue
        opinion = judge(dampened) if judge else None
        if judge is None or opinion is not None:
            tried.append(Candidate(strength, change, opinion))
    return sorted(tried, key=lambda each: each.rank)


def _converged(
    problem: ForgetProblem, model: nn.Module, params: Params, course: Course
) -> tuple[Params, Course] | None:
    for cut in RATE_CUTS:
        gentler = dataclasses.replace(course, learning_rate=cut * course.learning_rate)
        try:
            mended = repair(
                model, params, problem.retain, gentler, seed=problem.seed, progress=problem.progress
            )
        except DivergedError:
            continue
        return mended, gentler
    return None
