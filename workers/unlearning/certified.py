"""Removal by proof from a linear head: how far a published one may be from a retrained one, and the budget.

The setting (`numerics.head_state`). The extractor never saw the data and stays as it is. The operator keeps a
secret weight W near the minimum W* of the head's objective J on the samples that remain, and publishes
W + sigma N, with N standard normal, secret and new for each W. Retraining publishes W* + sigma N.

The claim. J is l2-strongly convex, so |W - W*| <= |grad J(W)| / l2. Both publications are normal with the
same covariance, so which of the two was made can be told only as well as a shift by

    s = |grad J(W)| / (l2 sigma) + SOLVED

allows; SOLVED is how far a retraining itself may end from W*. Shifts of several publications add as squares,
and `numerics.gaussian_shift` turns their sum into (epsilon, delta) without loss. So, whatever may be known of
the data, of the request and of earlier versions: **all versions published since the head was trained, taken
together, are (epsilon, delta)-indistinguishable from versions each trained from scratch on what remained.**
How W came about has no part in this. A method may take any steps; what they left is measured, not predicted.

The budget. The sum of squared shifts is carried from version to version. A request whose shift no longer fits
is refused (`BudgetSpentError`), the ladder goes on to retraining, and that starts with nothing spent.

Departures from Guo, Goldstein, Hannun, van der Maaten, "Certified Data Removal from Machine Learning Models"
(ICML 2020) and Neel, Roth, Sharifi-Malvajerdi, "Descent-to-Delete" (ALT 2021); reasons in ADR 0014:

- Noise is put on the published weights, as by Neel et al., not into the objective as b^T w. With b in the
  objective what a removal leaves is a function of b; a bound on its length alone then bounds no density.
- The residual is measured on the remaining samples in float64, at the cost of one gradient, where both papers
  bound it beforehand. It is never more than their bounds, and it does not accumulate with the requests.
- The budget covers everything published since the training together, where both speak of one publication.

What is not covered: float64 and features in float32 stand for real numbers, and the proof speaks of weights,
not of numbers that audits and certificates tell of the forgotten samples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics import gaussian_shift, linear_head
from workers.numerics.head_state import SOLVED, HeadState
from workers.numerics.linear_head import HeadError
from workers.numerics.softmax_regression import Objective
from workers.unlearning.base import ForgetProblem, Json, Need, UnlearnResult
from workers.unlearning.errors import BudgetSpentError, IneffectiveError, MissingNeedError

CAVEATS = (
    "Certified only if the network before the last layer never learned from the forgotten data, which is the "
    "owner's statement.",
    "The proof speaks of all versions published since the last training together, and of their weights: not "
    "of what the audit and the certificate tell of the forgotten samples.",
    "The exact weights and the features of the remaining samples are kept in secret with the version; it "
    "does not hold off whoever can read them, or the key of the noise.",
)


@dataclass(frozen=True)
class Promise:
    """What a removal must keep.

    Attributes:
        epsilon: of the claim.
        delta: of the claim.
        share: of the budget's shift, how much one request should take at most; it may take all that is left
            where its steps do not get so far.
    """

    epsilon: float
    delta: float
    share: float


@dataclass(frozen=True)
class Moved:
    """Where a method's steps led.

    Attributes:
        weight: float64 [num_classes, k].
        num_steps: that were taken.
        bound: on the residual, as known before the last step; None where the method has none.
    """

    weight: Tensor
    num_steps: int
    bound: float | None = None


Move = Callable[[Objective, Tensor, float], Moved]
"""(objective of the remaining samples, weight, residual that is small enough) -> where steps led."""


def remove(problem: ForgetProblem, promise: Promise, move: Move) -> UnlearnResult:
    """Take samples out of a head's objective, move its weight near the new minimum, and publish it.

    Returns:
        The result; its parameters are the objective, the noise and the budget, but not the promise.

    Raises:
        MissingNeedError: the model has no head with a proof, or it was trained on other samples.
        IneffectiveError: the head never learned from any of the samples.
        BudgetSpentError: what is left of the budget does not cover the request.
    """
    problem.require(Need.HEAD, Need.RETAIN_SET)
    assert problem.head is not None
    before = problem.head
    remaining = _remaining(problem, before)
    budget = gaussian_shift.largest_shift(promise.epsilon, promise.delta)
    left = math.sqrt(max(0.0, budget**2 - before.spent))
    small = min(promise.share * budget, left) - SOLVED
    if small <= 0:
        raise _spent(promise, left, SOLVED)
    scale = before.l2 * before.sigma
    moved = move(remaining.objective, before.weight, small * scale)
    residual = remaining.objective.residual(moved.weight)
    shift = residual / scale + SOLVED
    if not shift <= left:
        raise _spent(promise, left, shift)
    after = remaining.at(moved.weight, before.spent + shift**2)
    problem.progress(1.0)
    return UnlearnResult(
        params=_placed(problem, after),
        parameters={
            "l2": before.l2,
            "sigma": before.sigma,
            "num_steps": moved.num_steps,
            **_account(promise, after, budget, shift),
        },
        diagnostics={
            "residual": residual,
            "residual_before": remaining.objective.residual(before.weight),
            **({} if moved.bound is None else {"residual_bound": moved.bound}),
        },
        head=after,
    )


def _remaining(problem: ForgetProblem, head: HeadState) -> HeadState:
    """Return the state without the rows of what is forgotten now, or barred meanwhile."""
    kept = torch.tensor(problem.retain.positions, device=head.positions.device)
    is_kept = torch.isin(head.positions, kept)
    if int(is_kept.sum()) != len(kept):
        raise MissingNeedError(
            f"expected a head that was trained on the {len(kept)} remaining samples, got one that knows "
            f"{int(is_kept.sum())} of them: retrain it"
        )
    if bool(is_kept.all()):
        raise IneffectiveError(
            "expected samples that the head was trained on, got none of them: there is nothing to remove"
        )
    return head.keeping(is_kept)


def _placed(problem: ForgetProblem, after: HeadState) -> dict[str, Tensor]:
    try:
        head = linear_head.find(problem.build(), problem.retain.source.input_shape)
    except HeadError as error:
        raise MissingNeedError(f"this method needs a linear head: {error}") from error
    return head.placed(problem.params, after.published(problem.key))


def _account(promise: Promise, after: HeadState, budget: float, shift: float) -> dict[str, Json]:
    """Return what the budget looks like after a request."""
    return {
        "shift": shift,
        "shift_spent": math.sqrt(after.spent),
        "shift_left": math.sqrt(max(0.0, budget**2 - after.spent)),
        "epsilon_spent": gaussian_shift.epsilon_of(math.sqrt(after.spent), promise.delta),
        "num_removed": after.num_removed,
    }


def _spent(promise: Promise, left: float, needed: float) -> BudgetSpentError:
    return BudgetSpentError(
        f"expected a request that (epsilon {promise.epsilon:g}, delta {promise.delta:g}) still covers, it "
        f"takes a shift of {needed:.3g} and {left:.3g} is left: retrain, which starts the budget anew"
    )
