"""Rescue: one constant on the class's output brings back no more than in models that never saw it.

The probe is `resurrection.rescue`, the rule `resurrection.judgement`. The value is the mean of the accuracies
on the class and on kept classes, so 1/2 is nothing.
"""

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Outputs
from workers.audit.resurrection import judgement


class Rescue:
    """Holds what came back against a mask and against models without the class."""

    name = judgement.RESCUE
    gating = Gating.APPROXIMATE_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Judge every class that was probed; None without any."""
        return judgement.result(self.name, outputs.resurrections, outputs.limits)


CHECK = Rescue()
