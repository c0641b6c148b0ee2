"""The thresholds of the suite, and a policy's right to set its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from workers.audit.base import MADE_WITHOUT
from workers.audit.errors import AuditError


@dataclass(frozen=True)
class Limits:
    """Thresholds by name; the defaults are the suite's.

    Attributes:
        forgotten_accuracy: highest accuracy on a forgotten class, as a share.
        mean_drop: largest loss of accuracy over remaining classes, as a share.
        retrained_mean_drop: the same where a model claims to be made without the forget set: what it lost it
            lost with the data, and only a training that went wrong is to be refused.
        worst_class_drop: largest loss of accuracy on one remaining class, as a share.
        movement: smallest relative movement of the logits on the forget set. Rounding in float32 moves them
            by about 1e-6, so the default asks for a thousand times that.
        masking_residual: largest distance of any output to a shifted or silenced one of the base model,
            relative to its spread, that still counts as a mask.
        membership_margin: how far from 1/2 an attack's AUC may surely be.
        membership_detectable: the attack's AUC that the samples must be able to show; 1 asks only that a
            perfect attack would be noticed.
        conspicuousness: how far below unseen samples of its class the forget set's mean log odds may surely
        be.
        resurrection_level: how often the probes, all together, may refuse a model that never saw the class;
            other checks err too, and the suite as a whole is to do so in at most one of twenty cases.
        resurrection_references: models that never saw a class, with fewer of which the probes do not judge.
        resurrection_margin: log odds by which less of a class must come back than behind an output mask.
        neighbour_drop: by how much more accuracy the forget set's neighbours may lose than other kept
            samples, as a share.
        reference_power: smallest power with which the reference bank clears a set of samples; 0 clears
            without asking whether anything could have been noticed.
    """

    forgotten_accuracy: float = 0.05
    mean_drop: float = 0.02
    retrained_mean_drop: float = 0.10
    worst_class_drop: float = 0.15
    movement: float = 1e-3
    masking_residual: float = 5e-3
    membership_margin: float = 0.05
    membership_detectable: float = 1.0
    conspicuousness: float = 1.0
    resurrection_level: float = 0.03
    resurrection_references: float = 3.0
    resurrection_margin: float = 0.7
    neighbour_drop: float = 0.10
    reference_power: float = 0.5

    @classmethod
    def of(cls, changed: Mapping[str, float]) -> "Limits":
        """Apply a policy's changes to the defaults.

        Raises:
            AuditError: a name is unknown or a value is not a finite number of at least 0.
        """
        known = [each.name for each in fields(cls)]
        for name, value in changed.items():
            if name not in known:
                raise AuditError(f"expected audit limits among {known}, got {name!r}: remove or rename it")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise AuditError(
                    f"expected limit {name} to be a number of at least 0, got {value!r}: correct it"
                )
        return cls(**{name: float(value) for name, value in changed.items()})

    def for_claim(self, claim: str) -> "Limits":
        """Return the thresholds that a model of this claim is held against."""
        if claim not in MADE_WITHOUT:
            return self
        return replace(self, mean_drop=max(self.mean_drop, self.retrained_mean_drop))
