"""Linear accounting adds up to the weights that torch's own SGD ends at."""

import pytest
import torch

from workers.numerics.accounting import gradient_coefficients

RATES = (0.3, 0.2, 0.05, 0.4)


def by_torch(initial, gradients, momentum, weight_decay):
    """Slow and sure: the optimizer itself, fed with given gradients."""
    weight = torch.nn.Parameter(initial.clone())
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=momentum, weight_decay=weight_decay)
    for rate, gradient in zip(RATES, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0, 0), (0.9, 0), (0, 0.1), (0.9, 0.1)])
def test_initial_weights_and_gradients_add_up_to_the_final_weights(momentum, weight_decay):
    draw = torch.Generator().manual_seed(0)
    initial, *gradients = torch.randn(5, 3, dtype=torch.float64, generator=draw)

    of_gradients, of_initial = gradient_coefficients(RATES, momentum, weight_decay)

    final = of_initial * initial + sum(b * g for b, g in zip(of_gradients, gradients, strict=True))
    torch.testing.assert_close(final, by_torch(initial, gradients, momentum, weight_decay))


def test_with_momentum_a_gradient_acts_along_a_geometric_tail():
    of_gradients, of_initial = gradient_coefficients(RATES, 0.5, 0.0)

    assert of_gradients[1] == pytest.approx(-(0.2 + 0.5 * 0.05 + 0.25 * 0.4))
    assert of_initial == 1


def test_no_steps_leave_the_initial_weights():
    assert gradient_coefficients((), 0.9, 0.1) == ([], 1.0)
