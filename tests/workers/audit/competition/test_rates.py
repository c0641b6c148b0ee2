"""What counted errors say of epsilon: the formula, the competition's rules, and what is sure."""

import math

import numpy as np
import pytest

from workers.audit.competition.rates import DELTA, bounds, estimates
from workers.audit.errors import AuditError


def test_an_attack_shows_the_larger_of_both_sides():
    table = estimates(num_positive=10, num_negative=20)

    first = math.log(1 - DELTA - 4 / 20) - math.log(1 / 10)
    second = math.log(1 - DELTA - 1 / 10) - math.log(4 / 20)
    assert table[4, 1] == pytest.approx(max(first, second), abs=1e-12)


def test_an_attack_without_an_error_shows_infinity():
    assert estimates(8, 8)[0, 0] == math.inf


def test_an_attack_with_one_rate_of_zero_is_discarded():
    table = estimates(8, 8)

    assert (table[0, 1:] == -math.inf).all() and (table[1:, 0] == -math.inf).all()


def test_guessing_shows_nothing():
    assert estimates(8, 8)[4, 4] == pytest.approx(0.0, abs=1e-4)


def test_counting_shows_at_most_the_logarithm_of_the_models_less_one():
    table = estimates(512, 512)

    assert table[np.isfinite(table)].max() == pytest.approx(math.log(511), abs=1e-4)


@pytest.mark.parametrize(("num_models", "most"), [(8, 0.53), (16, 1.35), (32, 2.10), (64, 2.82), (512, 4.93)])
def test_perfect_separation_certifies_no_more_than_the_models_allow(num_models, most):
    table = bounds(num_models, num_models)

    assert table.max() == table[0, 0] == pytest.approx(most, abs=0.006)


def test_a_bound_never_exceeds_what_is_shown_and_never_falls_below_zero():
    shown, sure = estimates(16, 16), bounds(16, 16)

    is_shown = np.isfinite(shown)
    assert (sure[is_shown] <= np.maximum(shown[is_shown], 0)).all()
    assert sure.min() == 0.0 and np.isfinite(sure).all()


def test_a_side_without_models_is_refused():
    with pytest.raises(AuditError, match="got 0 and 4"):
        estimates(0, 4)
