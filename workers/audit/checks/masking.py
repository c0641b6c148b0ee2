"""Masking: the new model is not merely the base model with outputs shifted or silenced.

A mask forgets nothing: -10,000 on one bias passes every test of accuracy and of membership, and removing
one number brings the class back. Per output j, over all audited samples, the change z'_j - z_j is taken
apart into a constant and a remainder. An output is left alone or shifted if the remainder is small against
the spread of z_j, and silenced if z'_j itself hardly varies. If that holds for every output, and one of them
was shifted visibly or silenced, the new model is a mask: the claim falls to `suppressed`, and the run is
refused. A model that hardly differs from the base model at all is no mask; `no_op` deals with it.

What it does not see: a method that edits only the forgotten class's row of the last layer keeps all
features that knew the class. That is more than a mask and is not called one.
"""

import numpy as np

from workers.audit.base import CheckResult, Gating
from workers.audit.outputs import Floats, Outputs

VISIBLE_SHIFT = 0.1  # of an output's spread; less cannot suppress an answer
ROUNDING = 1e-4  # an output shifted by 1e6 is known to 0.06 in float32; this share of the shift is forgiven


class Masking:
    """Holds the largest remainder of any output, relative to its spread, against a small limit."""

    name = "masking"
    gating = Gating.UNMASKED_CLAIMS

    def run(self, outputs: Outputs) -> CheckResult:
        """Measure how far the new model is from the nearest mask of the base model."""
        base = np.concatenate([pair.base.logits for pair in outputs.everything])
        new = np.concatenate([pair.new.logits for pair in outputs.everything])
        limit = outputs.limits.masking_residual
        shift = (new - base).mean(axis=0)
        residual = _residual(base, new, shift)
        is_shifted = np.abs(shift) > VISIBLE_SHIFT * _spread(base)
        is_silenced = _spread(new) <= limit * _spread(base)
        is_mask = bool((residual <= limit).all() and (is_shifted | is_silenced).any())
        farthest = int(np.abs(shift).argmax())
        return CheckResult(
            name=self.name,
            value=float(residual.max()),
            low=None,
            high=None,
            threshold=limit,
            passed=not is_mask,
            detail=f"distance to the nearest mask of the base model; output {farthest} was shifted most, "
            f"by {shift[farthest]:.3g} on average",
        )


CHECK = Masking()


def _residual(base: Floats, new: Floats, shift: Floats) -> Floats:
    """Return per output the remainder beside the nearest mask, relative to its spread; [num_classes]."""
    spread = _spread(base) + ROUNDING * np.abs(shift) + np.finfo(np.float32).tiny
    remainder: Floats = np.minimum(_spread(new - base), _spread(new)) / spread
    return remainder


def _spread(values: Floats) -> Floats:
    """Return the standard deviation of each column; [n, k] -> [k]."""
    spread: Floats = values.std(axis=0)
    return spread
