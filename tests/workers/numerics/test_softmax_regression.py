"""Softmax regression: its derivatives against autograd, its bounds where the minimum is found exactly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.numerics import softmax_regression
from workers.numerics.softmax_regression import NotMinimisedError, Objective

ROUNDING = 1e-12  # of float64, on gradients of size 1


def problem(seed, *, num_samples=12, num_features=3, num_classes=3, l2=0.05, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    design = scale * torch.randn(num_samples, num_features, generator=generator, dtype=torch.float64)
    labels = torch.randint(num_classes, (num_samples,), generator=generator)
    weight = torch.randn(num_classes, num_features, generator=generator, dtype=torch.float64)
    return Objective(design, labels, num_classes, l2), weight


problems = st.builds(
    problem,
    st.integers(0, 10_000),
    num_samples=st.integers(1, 20),
    num_features=st.integers(1, 4),
    num_classes=st.integers(2, 4),
    l2=st.sampled_from([1e-3, 0.05, 1.0]),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
)


def hessian(objective, weight):
    """The dense oracle: every second derivative, [num_classes k, num_classes k]."""

    def value(flat):
        w = flat.reshape(weight.shape)
        loss = torch.nn.functional.cross_entropy(objective.design @ w.T, objective.labels)
        return loss + objective.l2 / 2 * w.square().sum()

    return torch.autograd.functional.hessian(value, weight.flatten())


def minimum(objective, weight):
    """The dense oracle: Newton with every Hessian solved exactly, the step halved while the value rises."""
    for _ in range(100):
        gradient = objective.gradient(weight)
        if gradient.norm() < 1e-11:
            return weight
        step = torch.linalg.solve(hessian(objective, weight), -gradient.flatten()).reshape(weight.shape)
        while objective.value(weight + step) > objective.value(weight) + ROUNDING:
            step = step / 2
        weight = weight + step
    return weight


def test_the_gradient_is_that_of_autograd():
    objective, weight = problem(0)
    leaf = weight.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(objective.design @ leaf.T, objective.labels)
    (loss + objective.l2 / 2 * leaf.square().sum()).backward()

    torch.testing.assert_close(objective.gradient(weight), leaf.grad, rtol=0, atol=ROUNDING)


def test_a_newton_step_solves_the_equation_of_the_dense_hessian():
    objective, weight = problem(1)

    step = softmax_regression.newton_step(objective, weight)

    gradient = objective.gradient(weight).flatten()
    left = gradient + hessian(objective, weight) @ step.flatten()
    assert left.norm() <= softmax_regression.ACCURACY * gradient.norm()


@settings(max_examples=30, deadline=None)
@given(problems)
def test_no_point_is_farther_from_the_minimum_than_its_residual_over_l2(given):
    objective, weight = given
    exact = minimum(objective, torch.zeros_like(weight))
    assert objective.residual(exact) < 1e-10

    assert float((weight - exact).norm()) <= objective.distance(weight) + 1e-10 / objective.l2


@settings(max_examples=100, deadline=None)
@given(problems, st.floats(0.01, 3))
def test_the_residual_after_a_step_is_within_the_bound_made_before_it(given, stride):
    objective, weight = given
    step = stride * softmax_regression.newton_step(objective, weight)

    assert (
        objective.residual(weight + step)
        <= softmax_regression.newton_bound(objective, weight, step) + ROUNDING
    )


@settings(max_examples=30, deadline=None)
@given(problems)
def test_the_curvature_lies_between_l2_and_the_smoothness(given):
    objective, weight = given

    curvatures = torch.linalg.eigvalsh(hessian(objective, weight))

    assert curvatures[0] >= objective.l2 - ROUNDING
    assert curvatures[-1] <= objective.smoothness() + ROUNDING


@settings(max_examples=30, deadline=None)
@given(problems)
def test_minimising_ends_within_the_distance_from_any_start(given):
    objective, weight = given

    found, _ = softmax_regression.minimise(objective, 10 * weight, 1e-6)

    exact = minimum(objective, torch.zeros_like(weight))
    assert float((found - exact).norm()) <= 1e-6 + 1e-10 / objective.l2


def test_an_accuracy_beyond_rounding_is_refused():
    objective, weight = problem(2)

    with pytest.raises(NotMinimisedError, match="raise l2 or sigma"):
        softmax_regression.minimise(objective, weight, 1e-30)
