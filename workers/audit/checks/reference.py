"""Reference: of forgotten samples, the model says what models say that never saw them.

Held-out samples of the same class stand for an ordinary sample only. A mislabelled one, or an odd photograph,
is told by a model without it quite differently from the rest of its class, and only models without it show
how: those of the reference bank (`reference`). The test is two-sided. Samples that are still remembered are
refused, and so are those that were driven further off than models which never saw them are.

Rule: refused when the p-value is below 5 %. Undecided without a bank, with one that too few members are left
of, with too few controls, with a power below `reference_power`, and where the base model, which learned the
samples, would pass as well. The worst group decides; while the bank decides about a group, `membership` and
`over_forgetting` only inform about it.
"""

from workers.audit.base import SAMPLES_KIND, CheckResult, Gating, worst_of
from workers.audit.intervals import SIGNIFICANCE
from workers.audit.outputs import Group, Outputs
from workers.audit.reference.judging import Judgement
from workers.audit.reference.matching import MIN_CONTROLS, MIN_OUT


class Reference:
    """Holds the p-value of each set of samples against the level of the test."""

    name = "reference"
    gating = Gating.INEXACT_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Ask the bank about every group of samples; None if there is none."""
        return worst_of(
            [
                self._result(group, judgement, outputs)
                for group, judgement in zip(outputs.groups, outputs.judgements, strict=True)
                if group.kind == SAMPLES_KIND and len(group.forget)
            ],
            centre=1.0,
        )

    def _result(self, group: Group, judgement: Judgement | None, outputs: Outputs) -> CheckResult:
        if judgement is None:
            return self._made(1.0, _nothing(group, outputs), is_decided=False)
        doubt = judgement.doubt(outputs.limits.reference_power)
        detail = (
            f"p-value; {judgement.num_members} models, at least {judgement.num_out} without a sample; "
            f"{judgement.num_judged} samples lie {judgement.value:+.2f} [{judgement.low:+.2f}, "
            f"{judgement.high:+.2f}] deviations off, the farthest {judgement.farthest:+.1f}; "
            f"base model p {judgement.base_p_value:.2g}; power {judgement.power:.2f}"
        )
        if judgement.is_refused:
            return self._made(judgement.p_value, detail)
        detail += f"; undecided: {doubt}" if doubt else ""
        return self._made(judgement.p_value, detail, passed=doubt is None, is_decided=doubt is None)

    def _made(
        self, p_value: float, detail: str, *, passed: bool = False, is_decided: bool = True
    ) -> CheckResult:
        return CheckResult(
            name=self.name,
            value=p_value,
            low=None,
            high=None,
            threshold=SIGNIFICANCE,
            passed=passed,
            detail=detail,
            is_decided=is_decided,
        )


CHECK = Reference()


def _nothing(group: Group, outputs: Outputs) -> str:
    """Say why there is no judgement."""
    size = f"{len(group.forget)} samples"
    if outputs.bank is None:
        return f"{size}; this version has no reference bank"
    return (
        f"{size}; a bank of {len(outputs.bank)} models with {len(outputs.bank.control_positions)} controls "
        f"says nothing of them: {MIN_OUT} that never saw a sample and {MIN_CONTROLS} controls are needed"
    )
