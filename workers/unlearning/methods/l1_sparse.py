"""l1-sparse: fine-tuning on retained data under a penalty on the size of the weights, which fades out.

Jia et al., "Model sparsity can simplify machine unlearning" (NeurIPS 2023), equation 4 with its linearly
decreasing gamma, in T steps:

    mean_retain CE(theta) + gamma_t ||theta||_1,   gamma_t = gamma (1 - t/T)

The penalty presses on all weights alike; those that retained data do not hold up, among them what served the
forget set alone, shrink. All trainable parameters count, biases and BatchNorm's among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters


@dataclass(frozen=True)
class L1SparseParameters(CourseParameters):
    """How hard the weights are pressed.

    Attributes:
        learning_rate: at the first step.
        penalty: the paper's gamma, at the first step.
    """

    learning_rate: float = parameter(
        0.02, "First learning rate; falls along a half cosine to zero.", minimum=1e-9, maximum=10.0
    )
    penalty: float = parameter(
        5e-4, "gamma: weight of the l1 norm in the loss, at the first step.", minimum=0.0, maximum=1e3
    )


class L1Sparse:
    """The method as the registry finds it."""

    name = "l1_sparse"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = (
        "A comparison only: nothing pushes the forget set out but the pressure on all weights, too little of "
        "it forgets nothing and more of it costs accuracy."
    )
    summary = "Trains shortly on retained data while pressing all weights towards zero."
    caveats = ("The pressure is fixed, not searched, and no value suits every network.",)
    Parameters: type[L1SparseParameters] = L1SparseParameters

    def forget(self, problem: ForgetProblem, parameters: L1SparseParameters) -> UnlearnResult:
        """Train on what remains, under pressure.

        Raises:
            MissingNeedError: nothing remains.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        # The penalty's gradient has the length gamma sqrt(P): a bound would take it back from large networks.
        course = replace(
            parameters.course(parameters.num_steps(problem, [problem.retain])), max_gradient_norm=None
        )

        def pressure(weights: Mapping[str, Tensor], step: int) -> Tensor:
            size = torch.stack([weight.abs().sum() for weight in weights.values()]).sum()
            return parameters.penalty * (1 - step / course.num_steps) * size

        params = descent.descend(
            problem.build(),
            problem.params,
            [courses.stream(problem, problem.retain, "retain")],
            losses.of_one_set,
            course,
            penalty=pressure,
            progress=problem.progress,
        )
        return UnlearnResult(params=params, parameters=parameters.to_json(problem, **course.to_json()))


METHOD = L1Sparse()
