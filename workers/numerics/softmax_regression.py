"""Softmax regression with a quadratic penalty: its objective, its minimum, and how far a point is from it.

Vocabulary. The *design* holds one row a sample, [n, k]: its features, and a 1 behind them if the layer has a
bias. The *weight* W is [num_classes, k], the bias its last column, penalised like the rest. With
z_i = W x_i and the mean over the n samples,

    J(W) = mean_i [ logsumexp(z_i) - z_i[y_i] ] + (l2 / 2) |W|^2 .

Rules. Everything is float64: claims rest on these numbers. The *residual* of a point is |grad J|, Frobenius.
J is l2-strongly convex, so a point with residual r lies within r / l2 of the only minimum (`distance`): the
one bound that a certificate needs, and it asks nothing of the features.

How good one Newton step is can be said beforehand too (`newton_bound`). That is the data-dependent bound of
Guo, Goldstein, Hannun, van der Maaten, "Certified Data Removal from Machine Learning Models" (ICML 2020),
corollary 1, carried from their binary losses to the softmax. With A(z) = diag(p) - p p^T for p = softmax(z):

    grad J(W + S) = [grad J(W) + H(W) S] + mean_i [ int_0^1 (A(z_i + t e_i) - A(z_i)) e_i dt ] x_i^T ,

where e_i = S x_i. The derivative of A along e, applied to e, is a third cumulant: in the direction u it is
E[(u - Eu)(e - Ee)^2], no larger than range(e) sd(u) sd(e). By Popoviciu's inequality sd(v) <= range(v) / 2,
and range(v) <= sqrt(2) |v|. So it is at most |e|^2 / sqrt(2) for |u| = 1, and integrating t over [0, 1],

    residual after the step <= (Newton equation's own residual) + mean_i |e_i|^2 |x_i| / (2 sqrt(2)) .
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MOST_CONJUGATE_STEPS = 2000
MOST_NEWTON_STEPS = 200
ACCURACY = 1e-4  # of the gradient, to which the equation of a Newton step is solved
SMALLEST_STRIDE = 2.0**-40


class NotMinimisedError(ArithmeticError):
    """Rounding keeps the residual above what was asked for."""


@dataclass(frozen=True, eq=False)
class Objective:
    """J over some samples.

    Attributes:
        design: float64 [n, k]; at least one row.
        labels: int64 [n], below num_classes.
        num_classes: rows of the weight.
        l2: the penalty, above 0.
    """

    design: Tensor
    labels: Tensor
    num_classes: int
    l2: float

    def gradient(self, weight: Tensor) -> Tensor:
        """Return grad J, [num_classes, k]."""
        missed = torch.softmax(self.design @ weight.T, 1)  # [n, num_classes]
        missed[torch.arange(len(self.labels), device=self.labels.device), self.labels] -= 1
        return missed.T @ self.design / len(self.design) + self.l2 * weight

    def value(self, weight: Tensor) -> float:
        """Return J."""
        loss = functional.cross_entropy(self.design @ weight.T, self.labels)
        return float(loss + self.l2 / 2 * weight.square().sum())

    def residual(self, weight: Tensor) -> float:
        """Return |grad J|."""
        return float(self.gradient(weight).norm())

    def distance(self, weight: Tensor) -> float:
        """Return a bound on how far a point is from the minimum, Frobenius."""
        return self.residual(weight) / self.l2

    def curvature(self, weight: Tensor) -> Callable[[Tensor], Tensor]:
        """Return S -> H(W) S; the Hessian, of (num_classes k)^2 numbers, is never formed."""
        chance = torch.softmax(self.design @ weight.T, 1)  # [n, num_classes]

        def product(direction: Tensor) -> Tensor:
            pushed = self.design @ direction.T  # [n, num_classes]
            centred = chance * (pushed - (chance * pushed).sum(1, keepdim=True))
            return centred.T @ self.design / len(self.design) + self.l2 * direction

        return product

    def smoothness(self) -> float:
        """Return a bound on the curvature: l2 + lambda_max(X^T X / n) / 2, for A(z) has none above 1/2."""
        gram = self.design.T @ self.design / len(self.design)
        return self.l2 + float(torch.linalg.eigvalsh(gram)[-1]) / 2


def newton_step(objective: Objective, weight: Tensor) -> Tensor:
    """Return S with H(W) S = -grad J(W), to ACCURACY, by conjugate gradients; [num_classes, k]."""
    curvature, left = objective.curvature(weight), -objective.gradient(weight)
    step = torch.zeros_like(weight)
    direction, size = left, float(left.square().sum())
    enough = ACCURACY**2 * size
    for _ in range(MOST_CONJUGATE_STEPS):
        if size <= enough or size == 0:
            break
        bent = curvature(direction)
        stride = size / float((direction * bent).sum())
        step, left = step + stride * direction, left - stride * bent
        size, before = float(left.square().sum()), size
        direction = left + size / before * direction
    return step


def newton_bound(objective: Objective, weight: Tensor, step: Tensor) -> float:
    """Return a bound on the residual at weight + step, without looking there: this file's opening."""
    shifts = objective.design @ step.T  # e_i, [n, num_classes]
    third = (shifts.square().sum(1) * objective.design.norm(dim=1)).mean() / (2 * math.sqrt(2))
    left = objective.gradient(weight) + objective.curvature(weight)(step)
    return float(third + left.norm())


def newton(objective: Objective, weight: Tensor) -> Tensor:
    """Return where one Newton step leads, halved until it lowers the residual by a tenth of what it promises.

    Steps like that reach the minimum from anywhere, for each points to smaller residuals. Where rounding
    leaves nothing to gain the weight comes back as it was.
    """
    step, residual, stride = newton_step(objective, weight), objective.residual(weight), 1.0
    while objective.residual(weight + stride * step) > (1 - 0.1 * stride) * residual:
        stride /= 2
        if stride < SMALLEST_STRIDE:
            return weight
    return weight + stride * step


def minimise(objective: Objective, start: Tensor, distance: float) -> tuple[Tensor, int]:
    """Return a point within `distance` of the minimum, and how many Newton steps led there.

    Raises:
        NotMinimisedError: the residual cannot be made so small.
    """
    weight = start
    for num_steps in range(MOST_NEWTON_STEPS):
        if objective.distance(weight) <= distance:
            return weight, num_steps
        weight, before = newton(objective, weight), weight
        if weight is before:
            break
    raise NotMinimisedError(
        f"expected a gradient of at most {distance * objective.l2:.3g}, got no further than "
        f"{objective.residual(weight):.3g}: raise l2 or sigma, or scale the features down"
    )
