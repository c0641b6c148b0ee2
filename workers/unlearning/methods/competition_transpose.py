"""Fifth entry of the NeurIPS 2023 unlearning competition (toshi_k, marvelworld): turn the filters, or guess.

The entry was an ensemble over published models, half of them by each of two approaches, as the slides of
`rebuilding` describe them. One published model takes one: `transpose`, the default, or `pseudo_labels`.

- *transpose*: every convolution's kernels are mirrored along the diagonal, rows for columns; then training on
  retained data.
- *pseudo_labels*: two networks are trained on retained data, one from the model and one from scratch. A
  forgotten sample that the model knows and the first gets wrong, or that the second gets wrong with little
  entropy, is given that wrong label. Then training of the model on retained data and these samples.

Our choices. Kernels that are not square, and networks without any, are not turned, and then this is plain
fine-tuning. Training steps are shared evenly by the three trainings of `pseudo_labels`. The slides' threshold
T is given no value; it is a quarter of the entropy of a uniform output. Where both networks propose a label,
the one from scratch decides. A label that no longer exists, of a class that is forgotten, is not given.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, Progress, UnlearnResult
from workers.unlearning.errors import ParametersError
from workers.unlearning.parameters import parameter
from workers.unlearning.training import fresh, losses, rebuilding
from workers.unlearning.training.courses import stage
from workers.unlearning.training.descent import Batch, Network
from workers.unlearning.training.rebuilding import RebuildingParameters

APPROACHES = ("transpose", "pseudo_labels")


@dataclass(frozen=True)
class TransposeParameters(RebuildingParameters):
    """Which half of the ensemble, beside the settings of the rebuilding.

    Attributes:
        approach: one of the two.
        entropy_share: T, as a share of the entropy of a uniform output.
    """

    approach: str = parameter("transpose", "transpose, or pseudo_labels.")
    entropy_share: float = parameter(
        0.25,
        "pseudo_labels: the network from scratch is sure below this share of the largest entropy.",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        if self.approach not in APPROACHES:
            raise ParametersError(
                f"approach must be one of {', '.join(APPROACHES)}, got {self.approach!r}: correct it"
            )


class CompetitionTranspose:
    """The method as the registry finds it."""

    name = "competition_transpose"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = rebuilding.WHY_EXPERIMENTAL
    summary = (
        "Fifth of the NeurIPS 2023 competition (toshi_k, marvelworld): mirrors all kernels along the "
        "diagonal and trains on retained data, or fine-tunes with the errors that others would make."
    )
    caveats = (
        rebuilding.NEEDS_RETAINED,
        rebuilding.NO_GUARD,
        "Without square kernels it is plain fine-tuning.",
    )
    Parameters: type[TransposeParameters] = TransposeParameters

    def forget(self, problem: ForgetProblem, parameters: TransposeParameters) -> UnlearnResult:
        """Go by the approach asked for.

        Raises:
            MissingNeedError: there is no forget set, or no retained data.
            DivergedError: a training does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        total = parameters.num_steps(problem)
        if parameters.approach == "transpose":
            start, num_turned = transposed(problem)
            params = _trained(problem, start, parameters, total, "retain", problem.progress)
            return UnlearnResult(
                params, parameters.record(problem, total), {"num_turned_tensors": num_turned}
            )
        spent = 2 * len(problem.forget) // 3  # two passes over the forget set, without gradients
        third = max(1, (total - spent // parameters.batch_size) // 3)
        tuned = _trained(
            problem, problem.params, parameters, third, "tuned", stage(problem.progress, 0, 1 / 3)
        )
        scratch = _trained(
            problem,
            fresh.initial(problem),
            parameters,
            third,
            "scratch",
            stage(problem.progress, 1 / 3, 2 / 3),
        )
        labels = pseudo_labels(problem, tuned, scratch, parameters.entropy_share)
        guessed = np.isin(problem.forget.positions, [*labels])
        both = np.concatenate([problem.retain.positions, problem.forget.positions[guessed]])

        def guessing(network: Network, batches: Sequence[Batch]) -> Tensor:
            (batch,) = batches
            given = zip(batch.positions.tolist(), batch.labels.tolist(), strict=True)
            told = torch.tensor([labels.get(at, label) for at, label in given]).to(batch.labels)
            return losses.cross_entropy(network, dataclasses.replace(batch, labels=told))

        params = rebuilding.rebuild(
            problem,
            problem.params,
            SampleSet(problem.retain.source, both),
            guessing,
            parameters.course(third),
            batch_size=parameters.batch_size,
            name="guessing",
            progress=stage(problem.progress, 2 / 3, 1.0),
        )
        problem.progress(1.0)
        return UnlearnResult(
            params, parameters.record(problem, 3 * third), {"num_pseudo_labels": len(labels)}
        )


METHOD = CompetitionTranspose()


def transposed(problem: ForgetProblem) -> tuple[Params, int]:
    """Return the weights with all square kernels mirrored along the diagonal, and how many they are."""
    found = dict(problem.params)
    turned = [
        name
        for name in rebuilding.filters(problem.build())
        if found[name].ndim == 4 and found[name].shape[2] == found[name].shape[3] > 1
    ]
    # [out, in, rows, columns] -> [out, in, columns, rows]
    return {**found, **{name: found[name].transpose(2, 3).contiguous() for name in turned}}, len(turned)


def pseudo_labels(
    problem: ForgetProblem, tuned: Params, scratch: Params, entropy_share: float
) -> dict[int, int]:
    """Return manifest position -> wrong class, of the forgotten samples that two networks have one for.

    Args:
        problem: read only.
        tuned: the model after fine-tuning on retained data.
        scratch: a new network trained on retained data.
        entropy_share: how sure the new network must be.
    """
    model, remaining = problem.build(), torch.tensor(problem.remaining_classes)
    before, labels = metrics.logits_of(model, problem.params, problem.forget)
    after, _ = metrics.logits_of(model, tuned, problem.forget)
    anew, _ = metrics.logits_of(model, scratch, problem.forget)
    logs = functional.log_softmax(anew.double(), dim=1)
    entropy = -(logs.exp() * logs).sum(dim=1)

    is_lost = (before.argmax(1) == labels) & (after.argmax(1) != labels)
    is_surely_wrong = (entropy < entropy_share * math.log(problem.num_classes)) & (anew.argmax(1) != labels)
    label = torch.where(is_surely_wrong, anew.argmax(1), after.argmax(1))
    is_given = (is_lost | is_surely_wrong) & torch.isin(label, remaining.to(label.device))
    return {
        int(position): int(one)
        for position, one, given in zip(
            problem.forget.positions, label.tolist(), is_given.tolist(), strict=True
        )
        if given
    }


def _trained(
    problem: ForgetProblem,
    start: Params,
    parameters: TransposeParameters,
    num_steps: int,
    name: str,
    progress: Progress,
) -> Params:
    return rebuilding.rebuild(
        problem,
        start,
        problem.retain,
        losses.of_one_set,
        parameters.course(num_steps),
        batch_size=parameters.batch_size,
        name=name,
        progress=progress,
    )
