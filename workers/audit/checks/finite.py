"""Finite: every weight and every logit of the new model is a number."""

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Outputs


class Finite:
    """Counts NaN and infinite values; one is too many. If it fails, no other check is run."""

    name = "finite"
    gating = Gating.EVERY_CLAIM

    def run(self, outputs: Outputs) -> CheckResult:
        """Count the values that are not finite."""
        weights, logits = outputs.weights.num_non_finite, outputs.num_non_finite
        return CheckResult(
            name=self.name,
            value=float(weights + logits),
            low=None,
            high=None,
            threshold=0.0,
            passed=weights + logits == 0,
            detail=f"{weights} of {outputs.weights.num_values} weights and {logits} logits are not finite",
        )


CHECK = Finite()
