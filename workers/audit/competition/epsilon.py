"""Epsilon of every forgotten sample: how well the best attack tells unlearned models from retrained ones.

The competition's estimate takes, for each sample, the largest epsilon that any of its attacks shows on the
models at hand, cut to [0, 50]; a sample whose scores on one side hardly vary, against those on the other,
counts as told (50). Being a maximum over attacks that were chosen on the very models they are judged on, it
is above zero for perfect unlearning too: about 1.6 on normal scores, whatever the number of models. Read it
beside `null`. What is sure, `certified`, has the attack chosen on one half of the models and judged on the
other.

Scores are [models, samples]: log odds, float64 and finite.
"""

import numpy as np

from workers.audit.competition.attacks import Attacks, intervals, thresholds
from workers.audit.competition.rates import Floats, bounds, estimates
from workers.audit.errors import AuditError

CEILING = 50.0
PEAKED = 0.01  # a range below this share of the other's


def epsilons(unlearned: Floats, retrained: Floats) -> Floats:
    """Return the competition's estimate for each sample, [samples], in [0, CEILING].

    Args:
        unlearned: scores of n models, [n, samples].
        retrained: of as many models that never saw the samples.

    Raises:
        AuditError: the sides differ in size, or a score is not finite.
    """
    _check(unlearned, retrained, num_least=2)
    table = estimates(len(unlearned), len(retrained))
    found = [_estimate(*scores, table) for scores in zip(unlearned.T, retrained.T, strict=True)]
    return np.asarray(found, dtype=np.float64)


def certified(unlearned: Floats, retrained: Floats) -> Floats:
    """Return an epsilon that each sample's truth reaches with 95 % confidence, [samples].

    The attack with the highest bound on the models of even number is judged on those of odd number. Each
    sample's bound holds by itself; of many, one in twenty may be too high.

    Args:
        unlearned: scores of n models, [n, samples].
        retrained: of as many.

    Raises:
        AuditError: the sides differ in size or have fewer than four models, or a score is not finite.
    """
    _check(unlearned, retrained, num_least=4)
    chosen = bounds(len(unlearned[::2]), len(retrained[::2]))
    judged = bounds(len(unlearned[1::2]), len(retrained[1::2]))
    found = []
    for ours, theirs in zip(unlearned.T, retrained.T, strict=True):
        attacks, best = _best(ours[::2], theirs[::2], chosen)
        false_positives, false_negatives = _errors(attacks, best, ours[1::2], theirs[1::2])
        found.append(float(judged[false_positives, false_negatives]))
    return np.asarray(found, dtype=np.float64)


def _estimate(ours: Floats, theirs: Floats, table: Floats) -> float:
    ranges = sorted((float(np.ptp(ours)), float(np.ptp(theirs))))
    if ranges[0] < PEAKED * ranges[1]:
        return CEILING
    shown = max(
        float(table[each.false_positives, each.false_negatives].max(initial=-np.inf))
        for each in (thresholds(ours, theirs), intervals(ours, theirs))
    )
    return min(max(shown, 0.0), CEILING)


def _best(ours: Floats, theirs: Floats, table: Floats) -> tuple[Attacks, int]:
    """Return the attacks that hold the strongest one, and which it is."""
    found = []
    for attacks in (thresholds(ours, theirs), intervals(ours, theirs)):
        values = table[attacks.false_positives, attacks.false_negatives]
        if len(values):
            found.append((float(values.max()), attacks, int(values.argmax())))
    _, attacks, best = max(found, key=lambda each: each[0])
    return attacks, best


def _errors(attacks: Attacks, number: int, ours: Floats, theirs: Floats) -> tuple[int, int]:
    """Return what one attack gets wrong on other models: false positives and false negatives."""
    positive, negative = (ours, theirs) if attacks.is_first else (theirs, ours)
    low, high = attacks.lows[number], attacks.highs[number]
    is_called = [(scores > low) & (scores <= high) for scores in (positive, negative)]
    return int(is_called[1].sum()), int((~is_called[0]).sum())


def _check(unlearned: Floats, retrained: Floats, num_least: int) -> None:
    if unlearned.shape != retrained.shape or unlearned.ndim != 2 or len(unlearned) < num_least:
        raise AuditError(
            f"expected as many unlearned as retrained models, at least {num_least}, and the same samples, "
            f"got {list(unlearned.shape)} and {list(retrained.shape)}: leave models out or train more"
        )
    if not (np.isfinite(unlearned).all() and np.isfinite(retrained).all()):
        raise AuditError("expected finite scores, got NaN or infinity: cut log odds to a finite range")
