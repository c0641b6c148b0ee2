"""Rescue: one constant, added to the class's output, that brings back as much of the class as it can.

Whoever has a model's logits can add a number to one of them. If that number alone restores the class, the
class was not forgotten but silenced ("Towards adversarial evaluations for inexact machine unlearning", Goel
et al. 2022, asks the like of single layers). The constant is chosen to make the mean of the accuracy on the
class and the accuracy on kept classes largest, on one half of the samples, and measured on the other; both
ways, and averaged. A constant that was in the output already, a mask's, changes nothing in what is found.

With the *gap* g = (largest output of another class) - (output of the class), a sample is given to the class
by a constant above g. So both accuracies are steps in the constant, and only the gaps need to be tried.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from workers.audit.resurrection.evidence import Evidence
from workers.numerics.metrics import logits_of
from workers.numerics.params import Params

PRICES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of kept samples that a constant may give to the class, for the curve."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rescued:
    """What a constant brings back.

    Attributes:
        balanced: mean of the accuracies on the class and on the kept classes.
        curve: accuracy on the class where each of PRICES is paid.
    """

    balanced: float
    curve: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Gaps:
    """How far the class is from being answered, on one half.

    Attributes:
        of_class: gaps of the class's samples; [m].
        kept: gaps of kept samples; [n].
        is_right: bool [n], whether a kept sample is right where the class does not answer.
    """

    of_class: Floats
    kept: Floats
    is_right: NDArray[np.bool_]

    def balanced(self, constants: Floats) -> Floats:
        """Return the mean of both accuracies for each constant; [k] -> [k]."""
        own = np.searchsorted(np.sort(self.of_class), constants) / len(self.of_class)
        right = np.sort(self.kept[self.is_right])
        others = (len(right) - np.searchsorted(right, constants)) / len(self.kept)
        mean: Floats = (own + others) / 2
        return mean

    def best(self) -> float:
        """Return the constant with the best mean: the middle of the widest of equal stretches."""
        steps = np.unique(np.concatenate([self.of_class, self.kept]))
        constants = np.concatenate([[steps[0] - 1], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1]])
        scores = self.balanced(constants)
        widths = np.concatenate([[0.0], np.diff(steps), [0.0]])
        best = np.flatnonzero(scores == scores.max())
        return float(constants[best[widths[best].argmax()]])


def rescue(build: Callable[[], nn.Module], params: Params, evidence: Evidence) -> Rescued | None:
    """Look for the constant; nothing is changed.

    Args:
        build: makes the architecture.
        params: of the model.
        evidence: about the class.

    Returns:
        What it brings back; None where a half lacks samples of the class or of kept ones, or an output is
        not finite.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    model = build()
    halves = [_gaps(model, params, evidence, half) for half in (0, 1) if len(evidence.halves[half])]
    first, second = halves if len(halves) == 2 else (None, None)
    if first is None or second is None:
        return None
    there = second.balanced(np.array([first.best()]))[0]
    back = first.balanced(np.array([second.best()]))[0]
    of_class = np.sort(np.concatenate([first.of_class, second.of_class]))
    kept = np.concatenate([first.kept, second.kept])
    paid = np.quantile(kept, PRICES)
    curve = np.searchsorted(of_class, paid) / len(of_class)
    return Rescued(float(there + back) / 2, tuple(map(float, curve)))


def _gaps(model: nn.Module, params: Params, evidence: Evidence, half: int) -> Gaps | None:
    """Measure one half."""
    logits, labels = (each.numpy() for each in logits_of(model, params, evidence.halves[half]))
    logits = logits.astype(np.float64)
    if not np.isfinite(logits).all():
        return None
    others = logits.copy()
    others[:, [evidence.label, *evidence.hidden]] = -np.inf
    gaps = others.max(axis=1) - logits[:, evidence.label]
    is_own = labels == evidence.label
    if is_own.all() or not is_own.any():
        return None
    return Gaps(gaps[is_own], gaps[~is_own], (others.argmax(axis=1) == labels)[~is_own])
