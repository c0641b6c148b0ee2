"""Forgetting: a forgotten class is recognised neither where it was learned nor where it was not.

For each forgotten class the accuracy is measured on its forget set and on its unseen samples; the worst
decides, not a mean that would hide it. A model that never knew the class is right in no case, so the limit
is low.

Rule: refused when the accuracy on a forget set exceeds the limit, or when the accuracy on unseen samples
surely does (lower end of its 95 % Clopper-Pearson interval). Unseen samples of one class are few; one lucky
answer among 18 is 5.6 % and proves nothing, while the forget set is usually large and was learned, which
makes it the harder test.
"""

from dataclasses import dataclass

from workers.audit.base import CLASS_KIND, CheckResult, Gating
from workers.audit.intervals import share_interval
from workers.audit.outputs import Group, Outputs


@dataclass(frozen=True)
class Recognition:
    """How often one forgotten class is still recognised on one set."""

    label: int
    place: str
    num_right: int
    num_samples: int
    is_sure_only: bool

    @property
    def accuracy(self) -> float:
        """Share of samples still recognised."""
        return self.num_right / self.num_samples

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        return share_interval(self.num_right, self.num_samples)

    def exceeds(self, limit: float) -> bool:
        """Whether the rule refuses it."""
        return (self.interval[0] if self.is_sure_only else self.accuracy) > limit


class Forgetting:
    """Holds the worst accuracy on a forgotten class against a low limit."""

    name = "forgetting"
    gating = Gating.EVERY_CLAIM

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Find the forgotten class that is still recognised best; None without a class group."""
        found = [
            r for group in outputs.groups if group.kind == CLASS_KIND for r in _recognitions(group, outputs)
        ]
        if not found:
            return None
        limit = outputs.limits.forgotten_accuracy
        worst = max(found, key=lambda each: (each.exceeds(limit), each.accuracy))
        low, high = worst.interval
        return CheckResult(
            name=self.name,
            value=worst.accuracy,
            low=low,
            high=high,
            threshold=limit,
            passed=not worst.exceeds(limit),
            detail=f"class {worst.label}: {worst.num_right} of {worst.num_samples} {worst.place} samples "
            "recognised",
        )


CHECK = Forgetting()


def _recognitions(group: Group, outputs: Outputs) -> list[Recognition]:
    found = []
    for label in group.classes:
        places = (("forget", group.forget.new, False), ("unseen", outputs.unseen.new, True))
        for place, answers, is_sure_only in places:
            of_class = answers.take(answers.of([label]))
            if len(of_class):
                num_right = int(of_class.is_right.sum())
                found.append(Recognition(label, place, num_right, len(of_class), is_sure_only))
    return found
