"""Relearning: five samples teach the class no faster than to models that never saw it.

The probe is `resurrection.relearning`, the rule `resurrection.judgement`. The value is the accuracy on the
class's other samples under a fresh last layer.
"""

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Outputs
from workers.audit.resurrection import judgement


class Relearning:
    """Holds what came back against a mask and against models without the class."""

    name = judgement.RELEARNING
    gating = Gating.APPROXIMATE_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Judge every class that was probed; None without any."""
        return judgement.result(self.name, outputs.resurrections, outputs.limits)


CHECK = Relearning()
