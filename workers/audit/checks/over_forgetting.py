"""Over-forgetting: the forget set is not treated worse than samples the model never saw.

A model that answers a forgotten sample with conspicuous doubt gives away that it was forgotten (the
Streisand effect). On the new model, the log odds log p_y - log(1 - p_y) of the forgotten samples are held
against those of unseen samples of their own class. `membership` asks how often they differ, this check by
how much: it catches a few samples driven far off, which hardly move an AUC. The worst group decides.

Rule: refused when the mean log odds surely (95 % interval) lie more than `conspicuousness` below the unseen
ones, and fell by more than that against the base model: samples that are hard by nature are hard in both. A
limit of 1 is odds lower by a factor of e. About samples that the reference bank judges, this check informs
alone.
"""

from dataclasses import replace

from workers.audit.base import CheckResult, Gating, worst_of
from workers.audit.comparison import Comparison
from workers.audit.outputs import Group, Outputs


class OverForgetting:
    """Holds the forget set's surplus of log odds over unseen samples against a lower limit."""

    name = "over_forgetting"
    gating = Gating.INEXACT_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Compare each group and return the worst outcome; None where there is nothing to compare with."""
        found = [
            replace(result, is_outranked=outputs.is_judged(group))
            for group in outputs.groups
            if (result := self._compare(group, outputs)) is not None
        ]
        return worst_of(found, centre=0.0)

    def _compare(self, group: Group, outputs: Outputs) -> CheckResult | None:
        new = Comparison.of(group.forget.new, outputs.unseen.new, outputs.seed)
        if not new.strata:
            return None
        base = Comparison.of(group.forget.base, outputs.unseen.base, outputs.seed).surplus()
        surplus, limit = new.surplus(), outputs.limits.conspicuousness
        return CheckResult(
            name=self.name,
            value=surplus.value,
            low=surplus.low,
            high=surplus.high,
            threshold=-limit,
            passed=not (surplus.high < -limit and surplus.value < base.value - limit),
            detail=f"mean log odds above unseen ones; base model {base.value:+.2f}; {new.sizes}",
        )


CHECK = OverForgetting()
