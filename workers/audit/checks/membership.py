"""Membership: an attacker with the losses cannot tell the forget set from samples the model never saw.

The attack guesses "was learned" for low losses (Yeom et al., CSF 2018). Its AUC is taken on the new model,
each forgotten sample against unseen samples of its own class; for a forgotten class these are the class's
held-out samples, which a model without the class treats like its training samples. The worst group decides.

Rule: refused when the 95 % interval of the AUC lies above 1/2 + `membership_margin`: the set is remembered.
Refused too when it lies below 1/2 - `membership_margin`: the set stands out as forgotten, which tells as
much; unless the base model, which had learned it, already shows the same, because then the samples are hard
by nature.

Undecided by design when the samples are so few that an attack of AUC `membership_detectable` would be
noticed in fewer than 80 % of all cases; with the default of 1, a perfect attack, that is at up to three
forgotten samples. The detail states which AUC would have been noticed: a pass at 20 samples excludes a
strong attack and no more. Stronger attacks than this one exist.

About samples that the reference bank judges this check informs alone: a sample that is unusual in its class
stands out in models that never saw it, too, and the bank knows that. Without one it may refuse, but its pass
is not enough (`reference`).
"""

from dataclasses import replace

from workers.audit.base import CheckResult, Gating, worst_of
from workers.audit.comparison import Comparison, Estimate
from workers.audit.limits import Limits
from workers.audit.outputs import Group, Outputs


class Membership:
    """Holds the interval of the loss attack's AUC against 1/2."""

    name = "membership"
    gating = Gating.INEXACT_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Attack each group and return the worst outcome."""
        return worst_of(
            [
                replace(self._attack(group, outputs), is_outranked=outputs.is_judged(group))
                for group in outputs.groups
            ],
            centre=0.5,
        )

    def _attack(self, group: Group, outputs: Outputs) -> CheckResult:
        limits = outputs.limits
        new = Comparison.of(group.forget.new, outputs.unseen.new, outputs.seed)
        if not new.strata:
            return self._result(Estimate(0.5, 0.0, 1.0), limits, f"{new.sizes}; nothing to compare with")
        auc, noticed = new.auc(), new.detectable_auc + limits.membership_margin
        if noticed > limits.membership_detectable:
            reason = f"too few to notice an AUC of {limits.membership_detectable:.2g}"
            return self._result(auc, limits, f"{new.sizes}; {reason}")
        base = Comparison.of(group.forget.base, outputs.unseen.base, outputs.seed).auc()
        is_remembered = auc.low > 0.5 + limits.membership_margin
        is_conspicuous = auc.high < 0.5 - limits.membership_margin <= base.high
        detail = f"{new.sizes}; base model {base.value:.3f}; {noticed:.2f} would be noticed in 4 of 5 cases"
        return self._result(auc, limits, detail, passed=not (is_remembered or is_conspicuous))

    def _result(
        self, auc: Estimate, limits: Limits, detail: str, *, passed: bool | None = None
    ) -> CheckResult:
        """Fill in a result; undecided without a decision."""
        side = -1 if auc.value < 0.5 else 1
        return CheckResult(
            name=self.name,
            value=auc.value,
            low=auc.low,
            high=auc.high,
            threshold=0.5 + side * limits.membership_margin,
            passed=bool(passed),
            detail=detail,
            is_decided=passed is not None,
        )


CHECK = Membership()
