"""What an attack's error rates say of epsilon: the competition's estimate, and what is sure of it.

No attack can tell the models of an (epsilon, delta)-unlearner from retrained ones with error rates FPR and
FNR for which

    1 - delta - FPR > exp(epsilon) FNR     or     1 - delta - FNR > exp(epsilon) FPR

(Triantafillou et al., "Are we making progress in unlearning? Findings from the first NeurIPS unlearning
competition", 2024; the inequality is Kairouz, Oh and Viswanath's, ICML 2015). Turned around, an attack with
these rates shows an epsilon:

    epsilon = max{ ln(1 - delta - FPR) - ln FNR,  ln(1 - delta - FNR) - ln FPR }

The *estimate* puts counted rates there. By the competition's rules an attack without any error shows
infinity, and one with exactly one rate of zero is discarded: it would show infinity for a single lucky model.
The *bound* puts the upper ends of the rates' Clopper-Pearson intervals there (Jagielski, Ullman and Oprea,
NeurIPS 2020), and is sure for an attack that was chosen on other models. There is no upper bound:
what one attack does not show, another may.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from workers.audit.errors import AuditError

Floats = NDArray[np.float64]

DELTA = 1e-5
TAIL = 0.025  # chance that a rate lies beyond the end of its interval


def estimates(num_positive: int, num_negative: int) -> Floats:
    """Return epsilon for all counts of errors; -inf where the attack is discarded or shows nothing.

    Returns:
        [num_negative + 1, num_positive + 1], by false positives and false negatives.

    Raises:
        AuditError: a side has no model.
    """
    false_positives, false_negatives = _counts(num_positive, num_negative)
    shown = _shown(false_positives / num_negative, false_negatives / num_positive)
    is_perfect = (false_positives == 0) & (false_negatives == 0)
    is_discarded = (false_positives == 0) ^ (false_negatives == 0)
    return np.where(is_perfect, np.inf, np.where(is_discarded, -np.inf, shown))


def bounds(num_positive: int, num_negative: int, tail: float = TAIL) -> Floats:
    """Return an epsilon that the truth surely reaches, for all counts of errors; at least 0.

    Each of the two rates lies below the upper end of its interval but with chance `tail`, so that the bound
    holds but with chance 2 tail.

    Returns:
        [num_negative + 1, num_positive + 1], by false positives and false negatives.

    Raises:
        AuditError: a side has no model.
    """
    false_positives, false_negatives = _counts(num_positive, num_negative)
    highest_fpr = _upper_end(false_positives, num_negative, tail)
    highest_fnr = _upper_end(false_negatives, num_positive, tail)
    return np.maximum(_shown(highest_fpr, highest_fnr), 0.0)


def _counts(num_positive: int, num_negative: int) -> tuple[Floats, Floats]:
    if min(num_positive, num_negative) < 1:
        raise AuditError(f"expected models on both sides, got {num_positive} and {num_negative}: train more")
    return np.arange(num_negative + 1.0)[:, None], np.arange(num_positive + 1.0)[None, :]


def _upper_end(num_errors: Floats, num_models: int, tail: float) -> Floats:
    """Return the upper end of the Clopper-Pearson interval of a rate."""
    end = stats.beta.ppf(1 - tail, num_errors + 1, np.maximum(num_models - num_errors, 1e-9))
    return np.where(num_errors < num_models, end, 1.0)


def _shown(fpr: Floats, fnr: Floats) -> Floats:
    """Return the formula's value; -inf where neither logarithm exists."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.log(1 - DELTA - fpr) - np.log(fnr)
        second = np.log(1 - DELTA - fnr) - np.log(fpr)
    both = np.stack([first, second])
    return np.asarray(np.where(np.isnan(both), -np.inf, both).max(axis=0))
