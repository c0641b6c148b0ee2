"""Descent-to-delete: gradient descent from the old minimum of a linear head to the one without the samples.

Neel, Roth, Sharifi-Malvajerdi, "Descent-to-Delete: Gradient-Based Methods for Machine Unlearning" (ALT 2021):
full-batch gradient descent on the remaining samples with the step 2 / (M + m) of an m-strongly convex,
M-smooth objective, whose distance to the minimum falls by (M - m) / (M + m) a step; then normal noise on what
is published, the exact weight staying secret.

Departures. The paper fixes the number of steps from that rate; here descent ends as soon as the measured
residual fits the request's share of the budget. On features of trained networks M / m is tens of thousands,
so by default steps of 1 / M carry Nesterov's momentum, (sqrt M - sqrt m) / (sqrt M + sqrt m), which needs
about the square root of the paper's number of them. What may be claimed of the outcome stands in
`unlearning.certified` and depends on neither.
"""

import math
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from workers.numerics.softmax_regression import Objective
from workers.unlearning import certified
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.certified import Moved, Promise
from workers.unlearning.parameters import parameter


@dataclass(frozen=True)
class DescentToDeleteParameters:
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
        "Descent goes on until the request takes at most this share of the whole budget's shift.",
        minimum=1e-3,
        maximum=1,
    )
    max_steps: int = parameter(5000, "Gradient steps a request may take.", minimum=1, maximum=1_000_000)
    is_accelerated: bool = parameter(True, "Whether steps carry Nesterov's momentum; the paper's do not.")


class DescentToDelete:
    """The method as the registry finds it."""

    name = "descent_to_delete"
    version = "1"
    guarantee = Guarantee.CERTIFIED
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.HEAD, Need.RETAIN_SET})
    experimental: str | None = "It costs more than retraining the head; certified_removal costs a third."
    summary = "Gradient descent on the linear head of a frozen public network, with a proof and a budget."
    caveats = certified.CAVEATS
    Parameters: type[DescentToDeleteParameters] = DescentToDeleteParameters

    def forget(self, problem: ForgetProblem, parameters: DescentToDeleteParameters) -> UnlearnResult:
        """Remove the forget set from the head.

        Raises:
            MissingNeedError: the model has no head with a proof.
            IneffectiveError: the head never learned from the samples.
            BudgetSpentError: what is left of the budget does not cover the request.
        """

        def move(objective: Objective, weight: Tensor, small: float) -> Moved:
            steep, flat = objective.smoothness(), objective.l2
            stride, momentum = 2 / (steep + flat), 0.0
            if parameters.is_accelerated:
                stride = 1 / steep
                momentum = (math.sqrt(steep) - math.sqrt(flat)) / (math.sqrt(steep) + math.sqrt(flat))
            before = weight
            for num_steps in range(parameters.max_steps):
                ahead = weight + momentum * (weight - before)
                gradient = objective.gradient(ahead)
                if float(gradient.norm()) <= small:
                    return Moved(ahead, num_steps)
                weight, before = ahead - stride * gradient, weight
                problem.progress((num_steps + 1) / (parameters.max_steps + 1))
            return Moved(weight, parameters.max_steps)

        promise = Promise(parameters.epsilon, parameters.delta, parameters.share)
        result = certified.remove(problem, promise, move)
        return replace(result, parameters={**asdict(parameters), **result.parameters})


METHOD = DescentToDelete()
