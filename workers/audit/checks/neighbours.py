"""Neighbours: what lies nearest to the forgotten samples and was kept does not pay for it.

A method that pushes some samples away takes along what looks like them: other pictures of the same place,
relatives, the rest of a subclass. A mean over all kept samples hides that. The *neighbours* are the kept
training samples nearest to a forgotten one in the base model's outputs, standardised output by output, as
many as were forgotten but at least NUM_NEAREST and at most a quarter of all; the *others* are the rest. Both
are counted under both models: neighbours lie near a boundary more often than others do, and the base model
says how often.

Rule: refused when the neighbours lost more accuracy than the others by more than `neighbour_drop`, and
really: by a one-sided exact test (Fisher), fewer than 5 % of all draws would put as many of the lost answers
among the neighbours, and by McNemar's as few of the changed answers would be won. A model retrained on them
goes on knowing them, so nobody who kept the data has to lose them; an exact claim has its proof elsewhere.

Too few neighbours, no kept sample, or nothing near are no reason to wait: this is about harm to what stays,
of which the accuracy checks measure the bulk. So the check then does not apply, and is never undecided.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import KDTree

from workers.audit.base import CheckResult, Gating
from workers.audit.intervals import SIGNIFICANCE, drop_interval, drop_probability
from workers.audit.outputs import Floats, Outputs, Pair

NUM_NEAREST = 20
MOST_ASKED = 2000  # forgotten samples that neighbours are looked for


class Neighbours:
    """Holds the neighbours' loss of accuracy, beyond that of others, against a limit."""

    name = "neighbours"
    gating = Gating.INEXACT_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult | None:
        """Compare both; None where there are too few kept samples to tell neighbours from others."""
        retain, limit = outputs.retain, outputs.limits.neighbour_drop
        forget = np.concatenate([group.forget.base.logits for group in outputs.groups])[:MOST_ASKED]
        num_nearest = min(max(NUM_NEAREST, len(forget)), len(retain) // 4)
        if num_nearest < NUM_NEAREST or not len(forget):
            return None
        is_near = _nearest(retain.base.logits, forget, num_nearest)
        near, far = retain.take(is_near), retain.take(~is_near)
        lost, won = _lost(near), _lost(Pair(near.new, near.base))
        beside = (_lost(far) - _lost(Pair(far.new, far.base))) / len(far)
        value = (lost - won) / len(near) - beside
        low, high = drop_interval(lost, won, len(near))
        chance = stats.hypergeom.sf(lost - 1, len(retain), lost + _lost(far), len(near))
        is_real = max(chance, drop_probability(lost, won)) < SIGNIFICANCE
        return CheckResult(
            name=self.name,
            value=value,
            low=max(-1.0, low - beside),
            high=min(1.0, high - beside),
            threshold=limit,
            passed=not (value > limit and is_real),
            detail=f"{lost} answers lost and {won} won on the {len(near)} kept samples nearest to forgotten "
            f"ones; the other {len(far)} lost {beside:.1%} of their accuracy",
        )


CHECK = Neighbours()


def _nearest(kept: Floats, forget: Floats, count: int) -> NDArray[np.bool_]:
    """Return which kept samples [n, k] are the `count` nearest to a forgotten one [m, k]; bool [n]."""
    spread = kept.std(axis=0) + np.finfo(np.float32).tiny
    distances, _ = KDTree(forget / spread).query(kept / spread)
    is_near = np.zeros(len(kept), dtype=bool)
    is_near[np.argsort(distances, kind="stable")[:count]] = True
    return is_near


def _lost(pair: Pair) -> int:
    """Return how many answers only the base model gets right."""
    return int((pair.base.is_right & ~pair.new.is_right).sum())
