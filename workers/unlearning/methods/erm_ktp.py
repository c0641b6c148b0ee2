"""ERM-KTP: a student takes over the model's features but for those channels that are the class's own.

Lin, Zhang, Chen, Chen, Susilo, "ERM-KTP: knowledge-level machine unlearning via knowledge transfer" (CVPR
2023). The features are what the last layer reads; each channel *belongs* to some classes, which the
entanglement-reduced mask of the paper learns in training. To forget, knowledge transfer and prohibition:

1. Of the last layer, weights that read a forbidden channel, one that belongs to a class to forget, become 0,
   and so do the class's own weights and bias. The last layer is then fixed.
2. A student's other layers are trained on retained data to give the teacher's features, those of forbidden
   channels set to 0; mean squared error. The teacher is the model as it was.

What differs. A model here was not trained with the mask. A channel is taken to belong to the class in whose
training samples it is largest in the mean; it is forbidden if that is a class to forget. The paper matches
the features of a hidden layer too, and its student starts from nothing; within a share of a training that
does not suffice, so the student starts as the model, unless `is_fresh`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.numerics import calling, copies, output_layer
from workers.numerics.params import Params, trainable_names
from workers.unlearning.base import ForgetProblem, Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.features import Listener
from workers.unlearning.parameters import parameter
from workers.unlearning.training import budget, courses, descent, fresh
from workers.unlearning.training.courses import CourseParameters
from workers.unlearning.training.descent import Batch, Network

BATCH_SIZE = 64


@dataclass(frozen=True)
class ErmKtpParameters(CourseParameters):
    """Where the student starts, beside budget and learning rate.

    Attributes:
        is_fresh: whether from newly drawn weights, as in the paper.
    """

    is_fresh: bool = parameter(False, "Whether the student starts from newly drawn weights.")


class ErmKtp:
    """The method as the registry finds it."""

    name = "erm_ktp"
    version = "1"
    guarantee = Guarantee.APPROXIMATE
    kinds = frozenset({Kind.CLASS})
    needs = frozenset({Need.FORGET_SET, Need.RETAIN_SET})
    experimental = (
        "Published for models trained with an entanglement-reduced mask, which ours are not: channels are "
        "assigned to classes afterwards, and what the class shares with others stays."
    )
    summary = "Silences the class's channels and output, and trains the other layers to do without them."
    caveats = (
        "Class requests only.",
        "Not the published training: channels were not kept apart by class.",
        "Close to masking an output: the class's row of the last layer is set to zero.",
    )
    Parameters: type[ErmKtpParameters] = ErmKtpParameters

    def forget(self, problem: ForgetProblem, parameters: ErmKtpParameters) -> UnlearnResult:
        """Prohibit and transfer.

        Raises:
            MissingNeedError: there is no training sample to forget, or nothing remains.
            IneffectiveError: the network has no last layer with a row a class, or no channel to keep.
            DivergedError: the student does not converge.
            DatasetRowError: a row cannot be read.
        """
        problem.require(Need.FORGET_SET, Need.RETAIN_SET)
        rows = _rows(problem)
        listener = Listener(problem.build(), _reader(problem, rows))
        asked = copies.private(listener.model, problem.params)
        forbidden = _forbidden(problem, listener, asked)
        _check_channels(problem.params, rows, forbidden)
        spent = budget.FORWARD_SHARE * (len(problem.forget) + len(problem.retain))

        start = fresh.initial(problem) if parameters.is_fresh else problem.params
        names = [name for name in trainable_names(listener.model) if name not in rows]
        prohibited = {name: _prohibited(problem.params[name], problem.classes, forbidden) for name in rows}
        num_steps = parameters.num_steps(problem, [problem.retain], asked=[problem.retain], spent=spent)
        course = parameters.course(num_steps)

        def loss(network: Network, batches: Sequence[Batch]) -> Tensor:
            (batch,) = batches
            with torch.no_grad():
                told = listener.features(asked, batch.images)
            wanted = torch.where(_along_channels(forbidden, told), 0, told)
            return (listener.features(network, batch.images) - wanted).square().mean()

        params = descent.descend(
            listener.model,
            {**start, **prohibited},
            [courses.stream(problem, problem.retain, "retain")],
            loss,
            course,
            mask=descent.whole(problem.params, names),
            progress=problem.progress,
        )
        return UnlearnResult(
            params=params,
            parameters=parameters.to_json(problem, **course.to_json()),
            diagnostics={"num_forbidden": int(forbidden.sum()), "num_channels": len(forbidden)},
        )


METHOD = ErmKtp()


def _rows(problem: ForgetProblem) -> tuple[str, ...]:
    """Return the tensors of the last layer, which have one row a class.

    Raises:
        IneffectiveError: there are none.
    """
    images = problem.retain.source.images(problem.retain.positions[:1])
    label = problem.remaining_classes[0]
    found = output_layer.row_gradients(problem.build(), problem.params, images[0], label, problem.num_classes)
    if not any(problem.params[name].ndim > 1 for name in found):
        raise IneffectiveError(
            "expected a last layer with one row a class, got a network without: choose another method"
        )
    return tuple(found)


def _reader(problem: ForgetProblem, rows: Sequence[str]) -> str:
    """Return the name of the module that the last layer's matrix belongs to."""
    return next(name for name in rows if problem.params[name].ndim > 1).rpartition(".")[0]


def _forbidden(problem: ForgetProblem, listener: Listener, network: nn.Module) -> Tensor:
    """Return which channels are largest, in the mean of their size, on a class to forget; bool [channels]."""
    sizes: Tensor | float = 0.0
    counts = torch.zeros(problem.num_classes)
    for samples in (problem.forget, problem.retain):
        for images, labels in samples.batches(BATCH_SIZE):
            own = functional.one_hot(labels, problem.num_classes)  # [n, classes]
            counts += own.sum(0)
            sizes = sizes + own.T.float() @ _size(listener, network, images).cpu()  # [classes, channels]
    means = sizes / counts.clamp(min=1)[:, None]
    owner_is_leaving = torch.isin(means.argmax(0), torch.tensor(problem.classes))
    return (owner_is_leaving & (means.amax(0) > 0)).to(calling.device_of(problem.params))


@torch.no_grad()
def _size(listener: Listener, network: nn.Module, images: Tensor) -> Tensor:
    """Return the mean size of each channel on each image; float32 [n, channels]."""
    features = listener.features(network, calling.like(images, dict(network.named_parameters())))
    return features.abs().flatten(2).mean(2).float() if features.ndim > 2 else features.abs().float()


def _check_channels(params: Params, rows: Sequence[str], forbidden: Tensor) -> None:
    for name in rows:
        if params[name].ndim > 1 and params[name].shape[1] != len(forbidden):
            raise IneffectiveError(
                f"expected {params[name].shape[1]} channels for the last layer to read, got "
                f"{len(forbidden)}: choose another method"
            )
    if bool(forbidden.all()):
        raise IneffectiveError(
            "expected channels that belong to remaining classes, got none: choose another method"
        )


def _prohibited(tensor: Tensor, classes: Sequence[int], forbidden: Tensor) -> Tensor:
    """Return the last layer's tensor without the classes' rows and the forbidden channels' columns."""
    allowed = tensor.clone()
    allowed[[*classes]] = 0
    if tensor.ndim > 1:
        allowed[:, forbidden] = 0
    return allowed


def _along_channels(forbidden: Tensor, features: Tensor) -> Tensor:
    """Return bool [1, channels, 1, ...], to be spread over the features."""
    return forbidden.view(1, -1, *[1] * (features.ndim - 2))
