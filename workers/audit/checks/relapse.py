"""Relapse: trained on with kept data alone, the model does not remember the class.

The probe is `resurrection.relapse`, the rule `resurrection.judgement`. The value is the highest accuracy on
the class after any epoch. A mask never relapses, so this check has no power over masks: it refuses, and
otherwise leaves the word to the others.
"""

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Outputs
from workers.audit.resurrection import judgement


class Relapse:
    """Holds what came back against a mask and against models without the class."""

    name = judgement.RELAPSE
    gating = Gating.APPROXIMATE_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Judge every class that was probed; None without any."""
        return judgement.result(self.name, outputs.resurrections, outputs.limits)


CHECK = Relapse()
