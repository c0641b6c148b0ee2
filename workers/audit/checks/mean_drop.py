"""Mean drop: the new model is not much worse on what it must still know.

The accuracy over unseen samples of all kept classes, old minus new, on the same samples.

Rule: refused when the drop exceeds the limit and is real, that is, chance alone would lose as many of the
changed answers in fewer than 5 % of all cases (exact McNemar test, one-sided). On 160 samples three flipped
answers are a drop of 1.9 points and two retrainings differ by as much; on 5,000 samples a drop of 2.1
points is refused. A model that was made without the forget set has a limit of its own.
"""

from workers.audit.base import CheckResult, Gating
from workers.audit.intervals import SIGNIFICANCE, drop_interval, drop_probability
from workers.audit.outputs import Outputs


class MeanDrop:
    """Holds the loss of accuracy over kept classes against its limit."""

    name = "mean_drop"
    gating = Gating.EVERY_CLAIM

    def run(self, outputs: Outputs) -> CheckResult:
        """Measure the drop; undecided without unseen samples of kept classes."""
        pair, limit = outputs.unseen_kept, outputs.limits.mean_drop
        if not len(pair):
            return CheckResult(
                name=self.name,
                value=0.0,
                low=-1.0,
                high=1.0,
                threshold=limit,
                passed=False,
                detail="no unseen sample of a kept class: give the dataset a holdout split",
                is_decided=False,
            )
        num_lost = int((pair.base.is_right & ~pair.new.is_right).sum())
        num_won = int((~pair.base.is_right & pair.new.is_right).sum())
        drop = (num_lost - num_won) / len(pair)
        low, high = drop_interval(num_lost, num_won, len(pair))
        is_real = drop_probability(num_lost, num_won) < SIGNIFICANCE
        return CheckResult(
            name=self.name,
            value=drop,
            low=low,
            high=high,
            threshold=limit,
            passed=not (drop > limit and is_real),
            detail=f"{num_lost} answers lost and {num_won} won on {len(pair)} unseen samples of kept classes",
        )


CHECK = MeanDrop()
