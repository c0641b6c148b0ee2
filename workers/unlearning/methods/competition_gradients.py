"""Second entry of the NeurIPS 2023 unlearning competition (Kookmin University): reset where gradients agree.

As the slides of `rebuilding` describe it. Where the forget set and the retained data pull a weight the same
way, training on the one brings back the other. So:

1. The gradient of the retained loss minus that of the forget loss, on equally many samples of each.
2. The 30% of the convolutions' weights where it is smallest are reset.
3. Training on retained data, in which the weights that were not reset take a tenth of the step. The learning
   rate rises over the first three of five epochs and then falls.

Our choices. "Smallest" is by magnitude, over all filters together, by rank. The retained samples of point 1
are drawn once; there may be fewer than forgotten ones. Weights outside the filters are not reset and so take
a tenth of the step too. The rate falls along a half cosine to zero where the entry's falls to a third.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.unlearning import gradients
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import fresh, losses, rebuilding
from workers.unlearning.training.rebuilding import RebuildingParameters

WARMUP_SHARE = 0.6  # three of five epochs


@dataclass(frozen=True)
class GradientsParameters(RebuildingParameters):
    """Settings of the reset beside those of the rebuilding.

    Attributes:
        reset_share: of the filters' weights.
        kept_rate: what the other weights' gradients are multiplied by.
    """

    reset_share: float = parameter(
        0.3, "Share of the convolutions' weights that are reset.", minimum=0.0, maximum=1.0
    )
    kept_rate: float = parameter(
        0.1, "Learning rate of weights that are not reset, as a share.", minimum=0.0, maximum=1.0
    )


class CompetitionGradients:
    """The method as the registry finds it."""

    name = "competition_gradients"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Second of the NeurIPS 2023 competition (Kookmin University): resets the filter weights that forget "
        "set and retained data pull the same way, and trains on retained data."
    )
    caveats = (rebuilding.NEEDS_RETAINED, rebuilding.NO_GUARD)
    Parameters: type[GradientsParameters] = GradientsParameters

    def forget(self, problem: ForgetProblem, parameters: GradientsParameters) -> UnlearnResult:
        """Reset the weights whose two gradients agree, and train.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        masks = reset_masks(problem, parameters.reset_share)
        num_steps = parameters.num_steps(problem, spent=2 * len(problem.forget))

        def shape(name: str, gradient: Tensor) -> Tensor:
            slow = parameters.kept_rate * gradient
            return torch.where(masks[name], gradient, slow) if name in masks else slow

        params = rebuilding.rebuild(
            problem,
            fresh.reset_where(problem, problem.params, masks),
            problem.retain,
            losses.of_one_set,
            parameters.course(num_steps, warmup_share=WARMUP_SHARE),
            batch_size=parameters.batch_size,
            shape_gradient=shape,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters=parameters.record(problem, num_steps),
            diagnostics={"num_reset_weights": sum(int(mask.sum()) for mask in masks.values())},
        )


METHOD = CompetitionGradients()


def reset_masks(problem: ForgetProblem, share: float) -> dict[str, Tensor]:
    """Return masks of the filters' weights where |dL(retain) - dL(forget)| is smallest, one a filter tensor.

    Args:
        problem: read only.
        share: of the filters' weights.
    """
    model = problem.build()
    order = torch.randperm(len(problem.retain), generator=seeding.generator(problem.seed, "gradients"))
    drawn: SampleSet = problem.retain.take(order[: len(problem.forget)].numpy())
    kept = gradients.mean(model, problem.params, drawn)
    gone = gradients.mean(model, problem.params, problem.forget)
    names = rebuilding.filters(model)
    return rebuilding.smallest({name: (kept[name] - gone[name]).abs() for name in names}, share)
