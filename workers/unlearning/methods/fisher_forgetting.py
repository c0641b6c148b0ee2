"""Fisher forgetting: noise on every weight, the larger the less retained data depend on it.

Golatkar, Achille, Soatto, "Eternal sunshine of the spotless net: selective forgetting in deep networks" (CVPR
2020), equation 8 with the diagonal Fisher information F of the retained data:

    theta_i + (lambda sigma_h^2)^(1/4) F_i^(-1/4) eps_i,    eps_i ~ N(0, 1)

The factor in front is `alpha` here. F is kept per class: a class request reads no training data; a samples
request measures the forget set's own and takes it away. A weight that retained data do not depend on at all
would get noise without end; F is held above `FLOOR` of its mean. One draw of eps serves all alphas, which are
searched on the tuning set. Published code goes further and treats the forgotten class's row of the last layer
apart; this is the equation alone.
"""

from dataclasses import dataclass

import torch

from workers.numerics import seeding
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import Params
from workers.unlearning import strengths
from workers.unlearning.base import ForgetProblem, Guarantee, Json, Kind, Need, UnlearnResult
from workers.unlearning.errors import IneffectiveError, MissingNeedError
from workers.unlearning.parameters import parameter

FLOOR = 1e-6  # of F, beside its mean: noise is at most thirty times that of a weight of mean information
LOUDNESSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of a mean weight's noise beside the weights
BATCH_SIZE = 64


@dataclass(frozen=True)
class FisherForgettingParameters:
    """How loud the noise is.

    Attributes:
        alpha: the paper's (lambda sigma_h^2)^(1/4).
    """

    alpha: float | None = parameter(
        None, "(lambda sigma_h^2)^(1/4); null searches on held-out data.", minimum=0.0, maximum=1e12
    )


class FisherForgetting:
    """The method as the registry finds it."""

    name = "fisher_forgetting"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.CLASS_FISHERS, Need.FORGET_SET, Need.TUNING_SET})
    experimental = (
        "Noise on all weights costs the rest of the model its accuracy before it removes anything, in the "
        "comparisons of others and in ours."
    )
    summary = "Adds noise to each weight, the more the less retained data depend on it."
    caveats = (
        "The strength is searched on held-out data; without a holdout split it must be stated.",
        "Costs accuracy before it forgets.",
    )
    Parameters: type[FisherForgettingParameters] = FisherForgettingParameters

    def forget(self, problem: ForgetProblem, parameters: FisherForgettingParameters) -> UnlearnResult:
        """Add the noise.

        Raises:
            MissingNeedError: class Fishers are missing, or a search has no held-out data.
            IneffectiveError: retained data depend on no weight, or no strength leaves finite outputs.
            FisherError: a gradient of the forget set is not finite.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.CLASS_FISHERS, Need.FORGET_SET)
        if parameters.alpha is None:
            problem.require(Need.TUNING_SET)
        information = _retained(problem)
        mean = _mean(information)
        if not mean > 0:
            raise IneffectiveError(
                "expected retained data that some weight depends on, got none: choose another method"
            )
        noise = _noise(problem, information, FLOOR * mean)

        def noisy(alpha: float) -> Params:
            added = {
                name: (problem.params[name].float() + alpha * each).to(problem.params[name].dtype)
                for name, each in noise.items()
            }
            return {**problem.params, **added}

        diagnostics: dict[str, float | int | str] = {}
        alpha = parameters.alpha
        if alpha is None:
            weights = torch.cat([problem.params[name].float().flatten() for name in noise])
            unit = float(weights.square().mean().sqrt()) * mean**0.25
            alpha, opinion = strengths.best(problem, noisy, [each * unit for each in LOUDNESSES])
            diagnostics["best"] = opinion.remark
        problem.progress(1.0)
        record: dict[str, Json] = {"alpha": alpha, "seed": problem.seed}
        return UnlearnResult(params=noisy(alpha), parameters=record, diagnostics=diagnostics)


METHOD = FisherForgetting()


def _retained(problem: ForgetProblem) -> Params:
    """Return the mean information of the retained samples, float64."""
    kept = problem.class_information
    assert kept is not None
    if problem.kind is Kind.CLASS:
        leaving = [label for label in problem.classes if label in kept.counts]
        num_retained = kept.num_samples - sum(kept.counts[label] for label in leaving)
        total = kept.without(leaving)
    else:
        own = diagonal_fisher(
            problem.build(), problem.params, problem.forget.batches(BATCH_SIZE), reduction="sum"
        )
        num_retained = kept.num_samples - len(problem.forget)
        # What is kept may be rounded, or of other weights, and then be less than the part.
        total = {name: (each - own[name].double()).clamp(min=0) for name, each in kept.whole().items()}
    if num_retained <= 0:
        raise MissingNeedError("expected a Fisher of remaining samples, got none: prepare the model again")
    return {name: each / num_retained for name, each in total.items()}


def _mean(information: Params) -> float:
    total = sum(float(each.sum()) for each in information.values())
    return total / max(1, sum(each.numel() for each in information.values()))


def _noise(problem: ForgetProblem, information: Params, floor: float) -> Params:
    """Return F^(-1/4) eps, float32, on the device of the weights."""
    noise = {}
    for name, each in information.items():
        drawn = torch.randn(each.shape, generator=seeding.generator(problem.seed, "noise", name))
        noise[name] = drawn.to(each.device) * each.clamp(min=floor).pow(-0.25).float()
    return noise
