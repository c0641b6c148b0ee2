"""Certified removal: a few Newton steps from the old minimum of a linear head to the one without the samples.

Guo, Goldstein, Hannun, van der Maaten, "Certified Data Removal from Machine Learning Models" (ICML 2020), the
Newton update of section 3.1 on all remaining samples,

    W <- W - H(W)^-1 grad J(W)   (from the old minimum, -grad J is the removed samples' own gradient),

repeated until what is left fits the request's share of the budget, and halved where a whole step would
overshoot; the paper takes one whole step. What may be claimed of the outcome, and why noise and budget are
not the paper's, stands in `unlearning.certified`; the paper's data-dependent bound on one step, with
constants for the softmax, in `numerics.softmax_regression`. Here that bound is a diagnostic: the residual
itself is measured.
"""

import math
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from workers.numerics import softmax_regression
from workers.numerics.softmax_regression import Objective
from workers.unlearning import certified
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.certified import Moved, Promise
from workers.unlearning.parameters import parameter


@dataclass(frozen=True)
class CertifiedRemovalParameters:
    """What is promised, and how far a request may go for it."""

    epsilon: float = parameter(
        1.0,
        "How far the published versions may be told from retrained ones: likelihoods by e^epsilon.",
        minimum=1e-3,
        maximum=50,
    )
    delta: float = parameter(
        1e-5, "Probability with which epsilon may be exceeded.", minimum=1e-12, maximum=0.1
    )
    share: float = parameter(
        0.1,
        "Newton steps go on until the request takes at most this share of the whole budget's shift.",
        minimum=1e-3,
        maximum=1,
    )
    max_steps: int = parameter(
        10, "Newton steps a request may take; the paper takes 1.", minimum=1, maximum=100
    )


class CertifiedRemoval:
    """The method as the registry finds it."""

    name = "certified_removal"
    version = "1"
    guarantee = Guarantee.CERTIFIED
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.HEAD, Need.RETAIN_SET})
    experimental = None
    summary = "Newton steps on the linear head of a frozen public network, with a proof and a budget."
    caveats = certified.CAVEATS
    Parameters: type[CertifiedRemovalParameters] = CertifiedRemovalParameters

    def forget(self, problem: ForgetProblem, parameters: CertifiedRemovalParameters) -> UnlearnResult:
        """Remove the forget set from the head.

        Raises:
            MissingNeedError: the model has no head with a proof.
            IneffectiveError: the head never learned from the samples.
            BudgetSpentError: what is left of the budget does not cover the request.
        """

        def move(objective: Objective, weight: Tensor, small: float) -> Moved:
            bound = math.inf
            for num_steps in range(parameters.max_steps):
                if num_steps and objective.residual(weight) <= small:
                    return Moved(weight, num_steps, bound)
                weight, before = softmax_regression.newton(objective, weight), weight
                bound = softmax_regression.newton_bound(objective, before, weight - before)
                problem.progress((num_steps + 1) / (parameters.max_steps + 1))
            return Moved(weight, parameters.max_steps, bound)

        promise = Promise(parameters.epsilon, parameters.delta, parameters.share)
        result = certified.remove(problem, promise, move)
        return replace(result, parameters={**asdict(parameters), **result.parameters})


METHOD = CertifiedRemoval()
