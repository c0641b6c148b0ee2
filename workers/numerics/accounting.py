"""How far one gradient has moved the final weights: linear accounting of SGD with momentum and weight decay.

Vocabulary. The gradients g_0 .. g_{T-1} are those of the data's loss at each step, without weight decay. SGD
as torch has it (no dampening, no Nesterov) is, for rates eta_t, momentum mu and weight decay lambda,

    v_t = mu v_{t-1} + g_t + lambda w_t,        v_{-1} = 0
    w_{t+1} = w_t - eta_t v_t.

With the gradients held fixed this is linear in (w_0, g_0, .., g_{T-1}), and every matrix in it is a multiple
of the identity, so that w_T = a_0 w_0 + sum_t b_t g_t with numbers a_0, b_t. From the end backwards:

    b_t = mu b_{t+1} - eta_t a_{t+1},    a_t = a_{t+1} + lambda b_t,    a_T = 1, b_T = 0.

Without weight decay b_t is minus the sum of the later rates, each weighted by mu to the power of its
distance. What is exact: the w_T that training ends at is this sum. What is not: without g_s the later
gradients would have been others, and no accounting of one training can say which.
"""

from collections.abc import Sequence


def gradient_coefficients(
    rates: Sequence[float], momentum: float, weight_decay: float
) -> tuple[list[float], float]:
    """Return how much of each step's gradient, and of the initial weights, is in the final weights.

    Args:
        rates: learning rate eta_t of each of the T steps.
        momentum: mu.
        weight_decay: lambda.

    Returns:
        (b_0 .. b_{T-1}, a_0) of the module's equations; b_t is negative as a rule.
    """
    of_weights, of_velocity = 1.0, 0.0  # a_{t+1} and b_{t+1}
    backwards = []
    for rate in reversed(rates):
        of_velocity = momentum * of_velocity - rate * of_weights
        of_weights += weight_decay * of_velocity
        backwards.append(of_velocity)
    return backwards[::-1], of_weights
