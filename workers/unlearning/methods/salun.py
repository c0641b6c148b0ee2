"""SalUn: random labels, but only the weights that the forget set pulls at most may move.

Fan et al., "SalUn: empowering machine unlearning via gradient-based weight saliency" (ICLR 2024). The
saliency mask, equation 3, keeps the weights whose gradient of the forget set's loss is largest, by the
median there and by the `share` here; the loss, equation 5, is

    mean_forget CE(wrong label) + alpha mean_retain CE

divided by 1 + alpha here, so that alpha does not change the length of a step. alpha is n_r / n_f unless
stated: then all samples weigh alike, as in the passes over one set after the other that the authors' code
makes.

The mask is held under momentum. Wrong labels are drawn anew each time a sample comes (see `relabelling`), and
never the true one, which the authors' code lets in. BatchNorm statistics stay.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from workers.numerics.params import Params
from workers.unlearning import gradients
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.localization import sal_loc
from workers.unlearning.parameters import parameter
from workers.unlearning.training import courses, descent, losses
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network
from workers.unlearning.training.relabelling import relabelled


@dataclass(frozen=True)
class SalunParameters(CourseParameters):
    """The mask and the balance of the two sets.

    Attributes:
        share: of all trainable weights that may move.
        retain_weight: the paper's alpha.
    """

    share: float = parameter(0.5, "Share of all weights that may move.", minimum=1e-9, maximum=1.0)
    retain_weight: float | None = parameter(
        None,
        "alpha: weight of retained data in the loss; null: all samples weigh alike.",
        minimum=0.0,
        maximum=1e9,
    )


class Salun:
    """The method as the registry finds it."""

    name = "salun"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = (
        "Its published learning rates are chosen against a retrained model, which a service does not have, "
        "and wrong labels make forgotten samples stand out."
    )
    summary = "Random wrong labels for the forget set, on the weights that matter most to it."
    caveats = (
        "Teaches wrong labels: forgotten samples may end doubted more than ones that the model never saw.",
        "The learning rate is fixed, and results hang on it.",
    )
    Parameters: type[SalunParameters] = SalunParameters

    def forget(self, problem: ForgetProblem, parameters: SalunParameters) -> UnlearnResult:
        """Find the salient weights, and train these.

        Raises:
            MissingNeedError: one of the sets is empty.
            IneffectiveError: there is no wrong label, or a gradient is not finite.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        model = problem.build()
        mask = salient(gradients.summed(model, problem.params, problem.forget), parameters.share)
        num_steps = parameters.num_steps(
            problem, [problem.forget, problem.retain], spent=float(len(problem.forget))
        )
        course = parameters.course(num_steps)

        alpha = parameters.retain_weight
        if alpha is None:
            alpha = len(problem.retain) / len(problem.forget)

        def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
            wrong, retained = (losses.cross_entropy(network, batch) for batch in batches)
            return (wrong + alpha * retained) / (1 + alpha)

        params = descent.descend(
            model,
            problem.params,
            [
                relabelled(problem, courses.stream(problem, problem.forget, "forget"), "forget"),
                courses.stream(problem, problem.retain, "retain"),
            ],
            loss,
            course,
            mask=mask,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters={**parameters.to_json(problem, **course.to_json()), "retain_weight": alpha},
            diagnostics={"num_salient": sum(int(each.sum()) for each in mask.values())},
        )


METHOD = Salun()


def salient(slopes: Params, share: float) -> Mapping[str, Tensor]:
    """Return where the largest gradients are, over all tensors together; name -> bool tensor.

    Of equal ones the first are taken, so that the number is the share asked for, rounded up.

    Args:
        slopes: the gradient of every trainable parameter.
        share: of all weights, in (0, 1].

    Raises:
        IneffectiveError: a gradient is not finite.
    """
    return sal_loc.locate(slopes, math.ceil(share * sum(each.numel() for each in slopes.values())))
