"""First entry of the NeurIPS 2023 unlearning competition (fanchuan): flatten, then push away and mend.

As the slides of `rebuilding` describe it:

1. One pass over the forget set that brings its outputs near the uniform distribution, by KL divergence.
2. Rounds of two halves. *Forget*: for logits x_i of the forget set and y_t of retained samples, descent on

       l_i = - (1/n) sum_t log( exp(x_i . y_t / tau) / sum_j exp(x_i . y_j / tau) )

   with tau = 1.15. *Retain*: descent on the cross entropy of retained samples.

Our choices. sim is the inner product of logits. The retained logits are held still, as the forget half is not
to move them. The rates of the forgetting stages (0.005 and 0.0003) are those of a public re-implementation.
The entry has eight rounds of an epoch each; here there are as many rounds, up to eight, as the budget holds
epochs, at least one, and the retaining half's rate falls to zero in each. The forgetting stages get at most
half of the budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, descent, losses, rebuilding
from workers.unlearning.training.courses import stage
from workers.unlearning.training.descent import Batch, Course, Network
from workers.unlearning.training.rebuilding import RebuildingParameters


@dataclass(frozen=True)
class ContrastParameters(RebuildingParameters):
    """Settings of the forgetting stages beside those of the rebuilding.

    Attributes:
        flatten_rate: learning rate of the pass towards the uniform distribution.
        contrast_rate: learning rate of the forget halves.
        temperature: tau.
        num_rounds: at most, and not more than epochs.
    """

    flatten_rate: float = parameter(
        0.005, "Learning rate of the pass towards uniform outputs.", minimum=1e-9, maximum=10.0
    )
    contrast_rate: float = parameter(
        0.0003, "Learning rate of the halves that push away.", minimum=1e-9, maximum=10.0
    )
    temperature: float = parameter(
        1.15, "tau, divides the inner products of logits.", minimum=1e-3, maximum=1e3
    )
    num_rounds: int = parameter(8, "Rounds of pushing away and retaining, at most.", minimum=1, maximum=1000)


@dataclass(frozen=True)
class Plan:
    """How the budget is shared out, in steps."""

    flatten: int
    rounds: int
    contrast: int
    retain: int

    @classmethod
    def of(cls, problem: ForgetProblem, parameters: ContrastParameters) -> "Plan":
        """Give the pass a quarter of the steps at most, the forget halves another; no stage gets none."""
        total = parameters.num_steps(problem)
        one_pass = math.ceil(len(problem.forget) / parameters.batch_size)
        flatten = min(one_pass, max(1, total // 4))
        epoch = math.ceil(len(problem.retain) / parameters.batch_size)
        rounds = max(1, min(parameters.num_rounds, total // epoch))
        contrast = min(one_pass, max(1, total // (4 * rounds)))
        spent = flatten + math.ceil(rounds * contrast * (1 + budget.FORWARD_SHARE))
        return cls(flatten, rounds, contrast, max(1, (total - spent) // rounds))

    @property
    def num_steps(self) -> int:
        """Return the steps of all stages."""
        return self.flatten + self.rounds * (self.contrast + self.retain)


class CompetitionContrast:
    """The method as the registry finds it."""

    name = "competition_contrast"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "First of the NeurIPS 2023 competition (fanchuan): pushes the forget set's outputs away from those "
        "of retained samples, and trains on these, by turns."
    )
    caveats = (rebuilding.NEEDS_RETAINED, rebuilding.NO_GUARD)
    Parameters: type[ContrastParameters] = ContrastParameters

    def forget(self, problem: ForgetProblem, parameters: ContrastParameters) -> UnlearnResult:
        """Flatten the forget set's outputs, then push away and retain by turns.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: a stage does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        plan = Plan.of(problem, parameters)
        share = 1 / (plan.rounds + 1)
        params = rebuilding.rebuild(
            problem,
            problem.params,
            problem.forget,
            lambda network, batches: losses.divergence_from_uniform(network, batches[0]),
            Course(plan.flatten, parameters.flatten_rate, is_cosine=False),
            batch_size=parameters.batch_size,
            name="flatten",
            progress=stage(problem.progress, 0, share),
        )
        pushing = Course(plan.contrast, parameters.contrast_rate, is_cosine=False)
        for turn in range(plan.rounds):
            start = (turn + 1) * share
            params = descent.descend(
                problem.build(),
                params,
                [
                    descent.stream(
                        samples, parameters.batch_size, params, problem.seed, f"push/{name}/{turn}"
                    )
                    for samples, name in ((problem.forget, "forget"), (problem.retain, "retain"))
                ],
                lambda network, batches: contrast(network, batches, parameters.temperature),
                pushing,
                progress=stage(problem.progress, start, start + share / 2),
            )
            params = rebuilding.rebuild(
                problem,
                params,
                problem.retain,
                losses.of_one_set,
                parameters.course(plan.retain),
                batch_size=parameters.batch_size,
                name=f"retain/{turn}",
                progress=stage(problem.progress, start + share / 2, min(1.0, start + share)),
            )
        problem.progress(1.0)
        return UnlearnResult(
            params=params,
            parameters=parameters.record(
                problem,
                plan.num_steps,
                num_flatten_steps=plan.flatten,
                num_rounds_run=plan.rounds,
                num_contrast_steps=plan.contrast,
                num_retain_steps=plan.retain,
            ),
        )


METHOD = CompetitionContrast()


def contrast(network: Network, batches: Sequence[Batch], temperature: float) -> Tensor:
    """Return the mean over the forget batch of l_i; scalar.

    Args:
        network: whose answers on the forget batch are to change.
        batches: the forget set's, then the retained set's.
        temperature: tau.
    """
    forgotten, retained = batches
    with torch.no_grad():
        still = network(retained.images)
    likeness = network(forgotten.images) @ still.T / temperature  # [forgotten, retained]
    return -functional.log_softmax(likeness, dim=1).mean()
