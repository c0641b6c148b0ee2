"""Fourth entry of the NeurIPS 2023 unlearning competition (Sebastian Oleszko): reset 99%, keep the entropy.

As the slides of `rebuilding` describe it:

1. The 99% of the weights with the smallest magnitude, over the whole network, are taken out: weights get new
   initial values, biases become zero.
2. Training on retained data x with labels y, on the network f and the original f_o,

       H(y, f(x)) weighted by N_y^-0.1  +  (H(f(x)) - H(f_o(x)))^2

   where H(y, .) is the cross entropy, H(.) the entropy of the output, and N_c the samples of class c.

Our choices. Scales and shifts of norms are neither ranked nor reset; a bias is that of a layer with a matrix.
Class weights are normalised to a mean of one over the retained samples. The two terms count alike. The entry
also rounded the outcome to half precision, which is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics.layers import layers
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, fresh, rebuilding
from workers.unlearning.training.descent import Batch, Loss, Network
from workers.unlearning.training.rebuilding import RebuildingParameters
from workers.unlearning.training.teachers import teacher


@dataclass(frozen=True)
class PruningParameters(RebuildingParameters):
    """Settings of the pruning beside those of the rebuilding.

    Attributes:
        pruned_share: of weights and biases, by magnitude.
        class_exponent: of the class weights.
        entropy_weight: of the second term.
    """

    pruned_share: float = parameter(
        0.99, "Share of weights and biases taken out, the smallest.", minimum=0.0, maximum=1.0
    )
    class_exponent: float = parameter(
        -0.1, "Exponent of a class's number of samples in its weight.", minimum=-10.0, maximum=10.0
    )
    entropy_weight: float = parameter(
        1.0, "Weight of the squared difference in entropy.", minimum=0.0, maximum=1e6
    )


class CompetitionPruning:
    """The method as the registry finds it."""

    name = "competition_pruning"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Fourth of the NeurIPS 2023 competition (Sebastian Oleszko): resets the 99% smallest weights, and "
        "trains on retained data with the original's entropy as a guide."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "Does not look at what is to be forgotten, and close to retraining with too few steps.",
    )
    Parameters: type[PruningParameters] = PruningParameters

    def forget(self, problem: ForgetProblem, parameters: PruningParameters) -> UnlearnResult:
        """Prune, and train.

        Raises:
            MissingNeedError: there is no retained data.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        start, num_pruned = pruned(problem, parameters.pruned_share)
        num_steps = parameters.num_steps(problem, passes=1 + budget.FORWARD_SHARE)
        params = rebuilding.rebuild(
            problem,
            start,
            problem.retain,
            entropy_guided(problem, parameters.class_exponent, parameters.entropy_weight),
            parameters.course(num_steps),
            batch_size=parameters.batch_size,
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters=parameters.record(problem, num_steps),
            diagnostics={"num_pruned_weights": num_pruned},
        )


METHOD = CompetitionPruning()


def pruned(problem: ForgetProblem, share: float) -> tuple[Params, int]:
    """Return the weights without a share of them, those of the smallest magnitude; and how many that is."""
    model = problem.build()
    weights = {*rebuilding.matrices(model)}
    biases = {
        name
        for layer in layers(model)
        if weights & {*layer.parameters}
        for name in layer.parameters
        if name not in weights
    }
    ranked = [name for name in problem.params if name in weights | biases]
    masks = rebuilding.smallest({name: problem.params[name].abs().float() for name in ranked}, share)
    params = fresh.reset_where(
        problem, problem.params, {name: mask for name, mask in masks.items() if name in weights}
    )
    zeroed = {name: params[name].masked_fill(masks[name], 0.0) for name in ranked if name in biases}
    return {**params, **zeroed}, sum(int(mask.sum()) for mask in masks.values())


def entropy_guided(problem: ForgetProblem, exponent: float, weight: float) -> Loss:
    """Return the weighted cross entropy plus `weight` times the mean squared difference in entropy."""
    original = teacher(problem.build(), problem.params)
    counts = torch.bincount(problem.retain.labels, minlength=problem.num_classes).double()
    by_class = torch.where(counts > 0, counts.clamp(min=1) ** exponent, 0.0)
    by_class = by_class * counts.sum() / (by_class * counts).sum()

    def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
        (batch,) = batches
        logits = network(batch.images)
        each = functional.cross_entropy(logits, batch.labels, reduction="none")
        strayed = (entropy(logits) - entropy(original(batch.images))).square()
        return (each * by_class.to(each)[batch.labels]).mean() + weight * strayed.mean()

    return loss


def entropy(logits: Tensor) -> Tensor:
    """Return -sum_c p_c log p_c of each row, in nats; [n, classes] -> [n]."""
    logs = functional.log_softmax(logits, dim=1)
    return -(logs.exp() * logs).sum(dim=1)
