"""No-op: something moved on the forget set, and by more than rounding.

Doing nothing passes most audits when the forgotten samples are ordinary, because a model without them would
say much the same. It is refused here: weights equal in every byte fail at once, and so do weights whose
logits on a forget set moved by less than `movement`, relative to their size. The least moved forget set
counts.
"""

import numpy as np

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Outputs, Pair


class NoOp:
    """Holds the smallest relative movement of a forget set's logits against a limit far above rounding."""

    name = "no_op"
    gating = Gating.EVERY_CLAIM

    def run(self, outputs: Outputs) -> CheckResult:
        """Measure how far the logits of each forget set moved."""
        changed, total = outputs.weights.num_changed, outputs.weights.num_values
        value = min((_movement(group.forget) for group in outputs.groups if len(group.forget)), default=1.0)
        if not changed:
            value = 0.0
        return CheckResult(
            name=self.name,
            value=value,
            low=None,
            high=None,
            threshold=outputs.limits.movement,
            passed=changed > 0 and value >= outputs.limits.movement,
            detail=f"{changed} of {total} weights differ; the least moved forget set moved its logits by "
            f"{value:.2g} of their size",
        )


CHECK = NoOp()


def _movement(pair: Pair) -> float:
    size = float(np.sqrt(np.mean(pair.base.logits**2)))
    moved = float(np.sqrt(np.mean((pair.new.logits - pair.base.logits) ** 2)))
    return moved / size if size > 0 else float(moved > 0)
