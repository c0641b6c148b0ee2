"""How well two spherical normal distributions can be told apart, as (epsilon, delta).

Vocabulary. The *shift* is the distance of the two means in standard deviations. Two distributions are
(epsilon, delta)-indistinguishable if P(T) <= e^epsilon Q(T) + delta and Q(T) <= e^epsilon P(T) + delta for
every set T. For normal distributions of equal covariance, in any number of dimensions, the smallest delta is

    delta(epsilon, shift) = Phi(shift / 2 - epsilon / shift) - e^epsilon Phi(-shift / 2 - epsilon / shift)

(Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, theorem 8). It is an
equation, not a bound: nothing is lost, and it holds for every epsilon above 0.

Shifts add as squares. Whoever sees several draws, each with noise of its own and a mean shifted by s_i, sees
one draw shifted by sqrt(sum s_i^2). That holds too if what comes next depends on what was seen, as long as
the sum of squares is bounded beforehand: add steps that tell nothing until it equals the bound, and the log
likelihood ratio is a stochastic integral of predictable steps with a known total variance, which is a normal
variable whatever decided the steps (Dambis, Dubins and Schwarz).
"""

import math

from scipy.special import log_ndtr, ndtr

LARGEST = 100.0  # beyond it the two do not overlap
HALVINGS = 100


def delta_of(epsilon: float, shift: float) -> float:
    """Return the smallest delta at an epsilon above 0."""
    if shift <= 0:
        return 0.0
    ahead = float(ndtr(shift / 2 - epsilon / shift))
    behind = math.exp(min(0.0, epsilon + float(log_ndtr(-shift / 2 - epsilon / shift))))
    return max(0.0, ahead - behind)


def largest_shift(epsilon: float, delta: float) -> float:
    """Return the largest shift that still is (epsilon, delta)-indistinguishable, rounded down."""
    low, high = 0.0, LARGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(epsilon, middle) <= delta else (low, middle)
    return low


def epsilon_of(shift: float, delta: float) -> float:
    """Return the smallest epsilon at a delta above 0, rounded up; 0 if delta alone covers the shift."""
    low, high = 0.0, LARGEST**2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, shift) > delta else (low, middle)
    return high
