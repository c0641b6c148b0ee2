"""Shifted normal distributions: the closed form against integration, and its inverses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from workers.numerics import gaussian_shift


def integrated(epsilon, shift):
    """The oracle: the integral of what P exceeds e^epsilon Q by, which is the smallest delta."""
    cut = epsilon / shift - shift / 2  # the likelihood ratio is e^epsilon there, P ahead of it
    value, _ = integrate.quad(
        lambda x: stats.norm.pdf(x, loc=0) - math.exp(epsilon) * stats.norm.pdf(x, loc=-shift),
        cut,
        40.0,
        epsabs=1e-14,
    )
    return value


@pytest.mark.parametrize(("epsilon", "shift"), [(0.5, 0.2), (1.0, 0.27), (1.0, 1.0), (3.0, 2.0)])
def test_delta_is_the_integral(epsilon, shift):
    assert gaussian_shift.delta_of(epsilon, shift) == pytest.approx(integrated(epsilon, shift), abs=1e-12)


@given(st.floats(0.01, 20), st.floats(1e-10, 0.1))
def test_the_largest_shift_is_covered_and_a_larger_one_is_not(epsilon, delta):
    shift = gaussian_shift.largest_shift(epsilon, delta)

    assert gaussian_shift.delta_of(epsilon, shift) <= delta
    assert gaussian_shift.delta_of(epsilon, shift * 1.001) > delta


@given(st.floats(0.01, 5), st.floats(1e-10, 1e-3))
def test_the_epsilon_of_a_shift_covers_it(shift, delta):
    epsilon = gaussian_shift.epsilon_of(shift, delta)

    assert gaussian_shift.delta_of(epsilon, shift) <= delta


def test_it_is_stricter_than_the_classical_bound():
    classical = 1.0 / math.sqrt(2 * math.log(1.25 / 1e-5))

    assert classical < gaussian_shift.largest_shift(1.0, 1e-5) < 1.3 * classical


@pytest.mark.slow
def test_adaptive_shifts_are_no_easier_to_tell_apart_than_their_squares_say():
    draws, steps, budget, epsilon = 400_000, 6, 1.2, 1.0
    rng = np.random.default_rng(0)

    def ratios(is_shifted):
        """Log likelihood ratios where each shift is chosen by what was seen."""
        spent, ratio = np.zeros(draws), np.zeros(draws)
        for step in range(steps):
            left = np.sqrt(np.maximum(budget**2 - spent, 0))
            shift = left * (0.2 + 0.6 * (ratio > 0)) if step < steps - 1 else left
            seen = rng.standard_normal(draws) + shift * is_shifted
            ratio += shift * seen - shift**2 / 2
            spent += shift**2
        return ratio

    delta = np.mean(ratios(True) > epsilon) - math.exp(epsilon) * np.mean(ratios(False) > epsilon)

    noise = 4 * (1 + math.exp(epsilon)) / math.sqrt(draws) / 2
    assert delta <= gaussian_shift.delta_of(epsilon, budget) + noise
