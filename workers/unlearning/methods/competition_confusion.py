"""Third entry of the NeurIPS 2023 unlearning competition (Seif Eddine Achour): confuse, then reconstitute.

As the slides of `rebuilding` describe it, and a public re-implementation fixes what they leave open:

1. *Vision confusion*: normal noise on the first filters, after which details are lost and the general idea
   is retained.
2. *Reconstitution*: training on retained data for three epochs, with the cross entropy weighted against the
   classes' imbalance.
3. Slight confusion once more, and a final stabilising epoch.

Our choices. The re-implementation's noise, 0.6 and later 0.005, is absolute; here it is relative to the
tensor's root mean square. "First filters" are the first convolution, or the first matrix of a network without
any (of a ResNet it is the only convolution outside the blocks). Class weights are inverse to the number of
retained samples, with a mean of one over these. Three quarters of the steps come before the slight confusion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.parameters import parameter
from workers.unlearning.training import rebuilding
from workers.unlearning.training.courses import stage
from workers.unlearning.training.descent import Batch, Loss, Network
from workers.unlearning.training.rebuilding import RebuildingParameters

FIRST_SHARE = 0.75  # of the steps: three epochs of four


@dataclass(frozen=True)
class ConfusionParameters(RebuildingParameters):
    """Settings of the confusion beside those of the rebuilding.

    Attributes:
        noise: of the first confusion.
        slight_noise: of the second.
    """

    noise: float = parameter(
        0.6, "First noise on the first filters, relative to their size.", minimum=0.0, maximum=100.0
    )
    slight_noise: float = parameter(
        0.005, "Noise before the last quarter of the steps, likewise.", minimum=0.0, maximum=100.0
    )


class CompetitionConfusion:
    """The method as the registry finds it."""

    name = "competition_confusion"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Third of the NeurIPS 2023 competition (Seif Eddine Achour): noise on the first filters, then "
        "training on retained data with weighted classes."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "Does not look at what is to be forgotten.",
    )
    Parameters: type[ConfusionParameters] = ConfusionParameters

    def forget(self, problem: ForgetProblem, parameters: ConfusionParameters) -> UnlearnResult:
        """Confuse, train, confuse slightly, train.

        Raises:
            MissingNeedError: there is no retained data.
            DivergedError: the training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.RETAIN_SET)
        names = rebuilding.filters(problem.build())[:1]
        loss = weighted_by_class(problem)
        num_steps = parameters.num_steps(problem)
        first = max(1, int(FIRST_SHARE * num_steps))
        params = problem.params
        for use, noise, steps, start, end in (
            ("confusion", parameters.noise, first, 0.0, FIRST_SHARE),
            ("slight confusion", parameters.slight_noise, num_steps - first, FIRST_SHARE, 1.0),
        ):
            if steps > 0:
                params = rebuilding.rebuild(
                    problem,
                    rebuilding.noisy(problem, params, names, noise, use),
                    problem.retain,
                    loss,
                    parameters.course(steps),
                    batch_size=parameters.batch_size,
                    name=use,
                    progress=stage(problem.progress, start, end),
                )
        problem.progress(1.0)
        return UnlearnResult(params=params, parameters=parameters.record(problem, num_steps))


METHOD = CompetitionConfusion()


def weighted_by_class(problem: ForgetProblem) -> Loss:
    """Return the mean over a batch of -n / (k n_y) log p(y): n retained samples of k classes, n_y of y."""
    counts = torch.bincount(problem.retain.labels, minlength=problem.num_classes).double()
    present = counts > 0
    balance = torch.where(present, counts.sum() / (present.sum() * counts.clamp(min=1)), 0.0)

    def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
        (batch,) = batches
        each = functional.cross_entropy(network(batch.images), batch.labels, reduction="none")
        return (each * balance.to(each)[batch.labels]).mean()

    return loss
