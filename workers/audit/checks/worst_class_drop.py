"""Worst-class drop: no kept class pays for the forgotten ones.

A mean hides one ruined class among many. Per kept class, the accuracy on its unseen samples, old minus new.

Rule: refused when a class loses more than the limit and the loss is real (exact McNemar test, one-sided,
below 5 %). A class with 36 unseen samples is therefore refused from a net loss of 6 of them on, one with 18
from 5 on: fewer flips happen between two retrainings of the same data. The test is not corrected for the
number of classes, because the limit of 15 points already asks for far more than chance gives in large
classes.

A model retrained without the forget set may lose as much, where most of a class's data are gone: that is what
the data left can teach. So the loss informs about an exact claim and does not refuse it; a training that went
wrong shows in `mean_drop`.
"""

from dataclasses import dataclass

from workers.audit.base import CheckResult, Gating
from workers.audit.intervals import SIGNIFICANCE, drop_interval, drop_probability
from workers.audit.outputs import Outputs, Pair


@dataclass(frozen=True)
class ClassDrop:
    """What happened to one kept class."""

    label: int
    num_lost: int
    num_won: int
    num_samples: int

    @property
    def drop(self) -> float:
        """Loss of accuracy."""
        return (self.num_lost - self.num_won) / self.num_samples

    def exceeds(self, limit: float) -> bool:
        """Whether the rule refuses it."""
        return self.drop > limit and drop_probability(self.num_lost, self.num_won) < SIGNIFICANCE


class WorstClassDrop:
    """Holds the largest loss of accuracy on a kept class against its limit."""

    name = "worst_class_drop"
    gating = Gating.INEXACT_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Find the kept class that lost most; None without unseen samples, which `mean_drop` reports."""
        limit = outputs.limits.worst_class_drop
        drops = [_class_drop(label, outputs.unseen) for label in outputs.kept]
        measured = [drop for drop in drops if drop is not None]
        if not measured:
            return None
        worst = max(measured, key=lambda each: (each.exceeds(limit), each.drop))
        low, high = drop_interval(worst.num_lost, worst.num_won, worst.num_samples)
        return CheckResult(
            name=self.name,
            value=worst.drop,
            low=low,
            high=high,
            threshold=limit,
            passed=not worst.exceeds(limit),
            detail=f"class {worst.label}: {worst.num_lost} answers lost and {worst.num_won} won "
            f"on {worst.num_samples} unseen samples",
        )


CHECK = WorstClassDrop()


def _class_drop(label: int, unseen: Pair) -> ClassDrop | None:
    pair = unseen.take(unseen.new.of([label]))
    if not len(pair):
        return None
    lost, won = pair.base.is_right & ~pair.new.is_right, ~pair.base.is_right & pair.new.is_right
    return ClassDrop(label, int(lost.sum()), int(won.sum()), len(pair))
