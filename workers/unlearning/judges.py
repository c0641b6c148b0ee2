"""What makes one forgotten model better than another, as far as held-out samples can tell.

A judge looks at one candidate's answers on panels in memory and returns an opinion; a search sorts by it.
Judges see tuning samples and the forget set, never test data, and change nothing.
"""

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass

from torch import nn

from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem
from workers.unlearning.errors import IneffectiveError, MissingNeedError
from workers.unlearning.rehearsal import Answers, Panel

MAX_CLASS_COST = 0.02  # of accuracy on remaining classes; what the audit's mean drop allows
MAX_LEFT = 0.05  # recognised of the worst forgotten class; what the audit's forgetting allows
MAX_SAMPLE_COST = 0.01
MIN_MOVEMENT = 2e-3  # twice what the audit takes for rounding
MAX_HARDNESS = 1.0  # log odds; what the audit takes for conspicuous
MAX_KEPT_SAMPLES = 1000
MAX_GONE_SAMPLES = 200


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of one candidate.

    Attributes:
        order: sorts the best first; equal ones go by the size of their change.
        has_forgotten: whether what had to go is gone, or at least moved.
        is_affordable: whether the rest lost no more than it may.
        remark: the numbers behind it, for a reader.
    """

    order: tuple[float, ...]
    has_forgotten: bool
    is_affordable: bool
    remark: str

    @property
    def is_good(self) -> bool:
        """Whether nothing is left to wish for."""
        return self.has_forgotten and self.is_affordable


@dataclass(frozen=True, eq=False)
class ClassJudge:
    """Wants remaining classes recognised and the worst forgotten class not, both within their limits first.

    Both are counted and, with the same weight, averaged as probabilities: on a few hundred samples counts
    alone leave many strengths level and prefer one by the luck of a single sample.

    Attributes:
        model: the architecture.
        kept: held-out samples of the remaining classes.
        gone: of each class forgotten by now; one without held-out samples is judged on its forget set.
        accuracy_before: on `kept`, of the model that the request found.
    """

    model: nn.Module
    kept: Panel
    gone: tuple[Panel, ...]
    accuracy_before: float

    @classmethod
    def of(cls, problem: ForgetProblem, gone: Collection[int]) -> "ClassJudge":
        """Read the panels.

        Args:
            problem: a class request.
            gone: those of its classes that a candidate must not know.

        Raises:
            MissingNeedError: there are no held-out samples of remaining classes.
            DatasetRowError: a row cannot be read.
        """
        model = problem.build()
        kept = Panel.read(problem.tuning, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
        if not len(kept):
            raise MissingNeedError(
                "expected held-out samples of remaining classes, got none: state the strength in the request"
            )
        panels = []
        for label in sorted(gone):
            unseen = Panel.read(problem.tuning, (label,), MAX_GONE_SAMPLES, problem.seed)
            panels.append(
                unseen
                if len(unseen)
                else Panel.read(problem.forget, (label,), MAX_GONE_SAMPLES, problem.seed)
            )
        before = kept.ask(model, problem.params).accuracy
        return cls(model, kept, tuple(panel for panel in panels if len(panel)), before)

    def with_forget_set(self, problem: ForgetProblem) -> "ClassJudge":
        """Return a judge that looks at training samples of the forgotten classes too.

        Raises:
            DatasetRowError: a row cannot be read.
        """
        classes = {label for panel in self.gone for label in panel.labels.tolist()}
        learned = [
            Panel.read(problem.forget, (label,), MAX_GONE_SAMPLES, problem.seed) for label in sorted(classes)
        ]
        gone = (*self.gone, *(panel for panel in learned if len(panel)))
        return dataclasses.replace(self, gone=gone)

    def thinned(self, num_kept: int, num_gone: int) -> "ClassJudge":
        """Return a judge that looks at fewer samples."""
        gone = tuple(panel.thinned(num_gone) for panel in self.gone)
        return ClassJudge(self.model, self.kept.thinned(num_kept), gone, self.accuracy_before)

    def __call__(self, params: Params) -> Opinion | None:
        """Judge one candidate; None if its outputs are not finite."""
        kept = self.kept.ask(self.model, params)
        gone = [panel.ask(self.model, params) for panel in self.gone]
        if not all(answers.is_finite for answers in (kept, *gone)):
            return None
        left = max((answers.accuracy for answers in gone), default=0.0)
        soft = kept.mean_probability - max((answers.mean_probability for answers in gone), default=0.0)
        has_forgotten = left <= MAX_LEFT
        is_affordable = self.accuracy_before - kept.accuracy <= MAX_CLASS_COST
        return Opinion(
            order=(not (has_forgotten and is_affordable), -(kept.accuracy + (1 - left) + soft)),
            has_forgotten=has_forgotten,
            is_affordable=is_affordable,
            remark=f"retained={kept.accuracy:.3f} error={1 - left:.3f}",
        )


@dataclass(frozen=True, eq=False)
class SampleJudge:
    """Wants little accuracy lost, the forget set as confident as unseen samples, and moved as far as may be.

    The mean probability of the true class may not fall by more than accuracy either: it sees harm first.
    Gaps within one standard error of the forget set's own are equal, and the larger movement wins: ordinary
    samples are as confident as unseen ones from the start, and the smallest change would be none.

    Attributes:
        model: the architecture.
        kept: held-out samples.
        forget: of the forget set.
        kept_before: accuracy and mean probability on `kept` of the model that the request found.
        before: the answers of that model on `forget`.
    """

    model: nn.Module
    kept: Panel
    forget: Panel
    kept_before: tuple[float, float]
    before: Answers

    @classmethod
    def of(cls, problem: ForgetProblem) -> "SampleJudge":
        """Read the panels.

        Raises:
            MissingNeedError: there are no held-out samples, or no forget samples of classes still known.
            IneffectiveError: the forget set is so unlike unseen samples that they cannot tell what it became.
            DatasetRowError: a row cannot be read.
        """
        model = problem.build()
        kept = Panel.read(problem.tuning, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
        forget = Panel.read(problem.forget, problem.remaining_classes, MAX_KEPT_SAMPLES, problem.seed)
        if not len(kept) or not len(forget):
            raise MissingNeedError(
                "expected held-out samples and forget samples of remaining classes, got none of one: "
                "state the strength in the request"
            )
        unseen = kept.ask(model, problem.params)
        known = forget.ask(model, problem.params)
        _refuse_unlike(known, unseen)
        return cls(model, kept, forget, (unseen.accuracy, unseen.mean_probability), known)

    def thinned(self, num_kept: int, num_forget: int) -> "SampleJudge":
        """Return itself: a gap between so few samples needs all of them."""
        del num_kept, num_forget
        return self

    def __call__(self, params: Params) -> Opinion | None:
        """Judge one candidate; None if its outputs are not finite."""
        kept, forget = self.kept.ask(self.model, params), self.forget.ask(self.model, params)
        if not (kept.is_finite and forget.is_finite):
            return None
        (gap, noise), movement = _gap(forget, kept), forget.movement_from(self.before)
        accuracy, probability = self.kept_before
        drop = max(accuracy - kept.accuracy, probability - kept.mean_probability)
        excess, shortfall = max(0.0, drop - MAX_SAMPLE_COST), max(0.0, MIN_MOVEMENT - movement)
        return Opinion(
            order=(excess, shortfall, max(0.0, abs(gap) - noise), -movement),
            has_forgotten=shortfall == 0,
            is_affordable=excess == 0,
            remark=f"drop={drop:.3f} gap={gap:+.3f} movement={movement:.2g}",
        )


def _refuse_unlike(forget: Answers, unseen: Answers) -> None:
    """Refuse a set that the model, having learned it, still doubts far more than what it never saw.

    Mislabelled samples are such: without them the model would doubt them more still, and no strength that
    takes unseen samples of the same label for its aim can lead there.
    """
    gap, noise = _gap(forget, unseen)
    if gap + 2 * noise < -MAX_HARDNESS:
        raise IneffectiveError(
            f"expected samples that are like unseen ones of their classes, got ones with log odds lower by "
            f"{-gap:.1f} although they were learned: held-out samples cannot tell whether these were "
            "forgotten, so retrain exactly, or state the strength"
        )


def _gap(forget: Answers, unseen: Answers) -> tuple[float, float]:
    """Return the forget set's mean surplus of confidence, and its standard error."""
    surpluses = forget.surpluses(unseen)
    return float(surpluses.mean()), float(surpluses.std(correction=0)) / math.sqrt(len(surpluses))
