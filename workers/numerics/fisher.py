"""The exact diagonal of the empirical Fisher information: the mean of squared per-sample gradients.

    I(theta) = 1/N sum_n (d/dtheta -log p(y_n | x_n; theta))^2        elementwise, one value a parameter

which is equation 4 of "Fast machine unlearning without retraining through selective synaptic dampening"
(Foster, Schoepf, Brintrup; AAAI 2024) as the paper defines it, not as its code computes it: squares of
batch means are another quantity, and depend on the order of the data. The network runs in evaluation mode:
batch norm uses its running statistics, dropout is off. Another loss gives another importance (see `losses`).

Cost: one forward pass, one backward pass to the activations, and the rules of `squares`; memory is that of
one batch plus two parameter sets, never samples x parameters. Parameters that no rule covers (see `coverage`)
cost one forward and backward pass a sample on top. The same batches give the same bits.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from workers.numerics.batches import SampleSet
from workers.numerics.losses import FisherError, SummedLoss, cross_entropy_sum
from workers.numerics.params import Params
from workers.numerics.per_sample import SquaredGradients
from workers.numerics.precision import Precision

__all__ = ["ClassFisher", "FisherError", "FisherSum", "diagonal_fisher", "each_class"]


@dataclass(frozen=True)
class ClassFisher:
    """The diagonal Fisher of one class.

    Attributes:
        label: the class.
        count: its samples.
        mean: over them, as `diagonal_fisher` gives it.
        loose: the parameters that no layer rule covers and that made this slow; empty for common networks.
    """

    label: int
    count: int
    mean: Params
    loose: tuple[str, ...]


class FisherSum:
    """A Fisher in the making, that takes batches one by one and may be saved and taken up again.

    Saved are `sums` and `num_samples`; a sum built from them and given the batches left ends with the same
    bits as one that was never interrupted.

    Args:
        model: gives the structure and says what is trainable (requires_grad); not changed.
        params: a full state, copied; computation and sums are on its device, in its floating type, or in
            float32 if that is half precision.
        loss: sums the losses of a batch's samples.
        sums: those of an earlier `FisherSum` of the same model, params and loss; copied.
        num_samples: its samples.
        precision: of the products in both passes.

    Raises:
        FisherError: `sums` are not those of this model, or only one of `sums` and `num_samples` is given.
        WeightsError: `params` is no state of `model`.
    """

    def __init__(
        self,
        model: nn.Module,
        params: Params,
        *,
        loss: SummedLoss = cross_entropy_sum,
        sums: Params | None = None,
        num_samples: int = 0,
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        self._squares = SquaredGradients(model, params, loss, precision)
        self._num_samples = num_samples
        self._sums = self._squares.zeros()
        if (sums is None) != (num_samples == 0):
            raise FisherError(
                f"expected sums with their number of samples, got {num_samples} samples and "
                f"{'no' if sums is None else 'some'} sums; give both of the earlier one, or neither"
            )
        if sums is not None:
            _copy_into(self._sums, sums)

    @property
    def num_samples(self) -> int:
        """How many samples were added, those of the earlier sum included."""
        return self._num_samples

    @property
    def loose(self) -> tuple[str, ...]:
        """The parameters that no rule covers and that make this slow; known from the first batch on."""
        return self._squares.loose

    @property
    def sums(self) -> Params:
        """The sums over the samples so far, one for each trainable parameter; the next `add` changes them.

        Raises:
            FisherError: a gradient was not finite, or its square overflowed.
        """
        _check_finite(self._sums)
        return self._sums

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Add a batch; images [n, C, H, W], labels [n], on any device. An empty batch adds nothing.

        Raises:
            FisherError: a label has no output, the loss is not finite, or the model has no per-sample
                gradients.
            CallError: the model's output is not one row of logits a sample.
        """
        if len(images) == 0:
            return
        self._squares.add_to(self._sums, images, labels)
        self._num_samples += len(labels)

    def mean(self) -> Params:
        """Return the mean over the samples as new tensors; zeros where the output ignores a parameter.

        Raises:
            FisherError: there are no samples, or a gradient was not finite.
        """
        _check_some(self._num_samples)
        return {name: total / self._num_samples for name, total in self.sums.items()}


def diagonal_fisher(
    model: nn.Module,
    params: Params,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    reduction: Literal["mean", "sum"] = "mean",
    loss: SummedLoss = cross_entropy_sum,
    precision: Precision = Precision.FLOAT32,
) -> Params:
    """Return the mean or sum over samples of the squared gradient of each sample's own loss.

    Args:
        model: gives the structure and says what is trainable (requires_grad); not changed.
        params: as in `FisherSum`.
        batches: (images [b, C, H, W], labels [b]); sizes may differ.
        reduction: over samples. Both agree up to the factor 1/N.
        loss: sums the losses of a batch's samples.
        precision: of the products in both passes.

    Returns:
        A new tensor for each trainable parameter, under its name; zeros if the output ignores it.

    Raises:
        FisherError: there are no samples, a label has no output, a value is not finite, or the model has no
            per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        WeightsError: `params` is no state of `model`.
    """
    total = FisherSum(model, params, loss=loss, precision=precision)
    for images, labels in batches:
        total.add(images, labels)
    _check_some(total.num_samples)
    divisor = 1 if reduction == "sum" else total.num_samples
    return {name: own.div_(divisor) for name, own in total.sums.items()}


def each_class(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    classes: Iterable[int],
    *,
    batch_size: int = 64,
    loss: SummedLoss = cross_entropy_sum,
    precision: Precision = Precision.FLOAT32,
    progress: Callable[[float], None] | None = None,
) -> Iterator[ClassFisher]:
    """Yield the mean Fisher of each class as soon as it is known, in one pass over the samples.

    Who stopped after some classes goes on by naming those left; each class's bits are the same either way.
    Beside the activations this holds two sets of parameters: a copy of the network, and one sum.

    Args:
        model: as in `diagonal_fisher`.
        params: as in `diagonal_fisher`.
        samples: [n]; those of other classes are not read.
        classes: in this order; one without samples is skipped.
        batch_size: samples of one class a batch.
        loss: sums the losses of a batch's samples.
        precision: of the products in both passes.
        progress: called with the share done of these classes' samples; may raise to cancel.

    Raises:
        FisherError: as `diagonal_fisher`, except that no samples at all are no error.
        CallError: the model's output is not one row of logits a sample.
        WeightsError: `params` is no state of `model`.
    """
    squares = SquaredGradients(model, params, loss, precision)
    del model  # which was copied; the caller may hold it no longer
    members = {label: (samples.labels == label).nonzero()[:, 0].numpy() for label in classes}
    num_samples = sum(len(rows) for rows in members.values())
    done = 0
    for label, rows in members.items():
        if len(rows) == 0:
            continue
        sums = squares.zeros()
        for images, labels in samples.take(rows).batches(batch_size):
            squares.add_to(sums, images, labels)
            done += len(labels)
            if progress is not None:
                progress(done / num_samples)
        _check_finite(sums)
        found = ClassFisher(
            label, len(rows), {name: total.div_(len(rows)) for name, total in sums.items()}, squares.loose
        )
        # The caller may let go of a class before it asks for the next: then only one is ever held.
        del sums
        yield found
        del found


def _copy_into(own: Params, given: Params) -> None:
    shapes = {name: tensor.shape for name, tensor in given.items()}
    if shapes != {name: tensor.shape for name, tensor in own.items()}:
        raise FisherError(
            f"expected sums for the {len(own)} trainable parameters of this model, got {len(given)} sums "
            "of other names or shapes; take up the sum with the model it was begun with"
        )
    for name, tensor in own.items():
        tensor.copy_(given[name])


def _check_some(num_samples: int) -> None:
    if num_samples == 0:
        raise FisherError("expected at least one sample, got none; skip the Fisher of an empty set")


def _check_finite(sums: Params) -> None:
    broken = [name for name, total in sums.items() if not bool(torch.isfinite(total).all())]
    if broken:
        raise FisherError(
            f"expected finite squared gradients, got NaN or infinity in {broken[0]!r} and "
            f"{len(broken) - 1} more; check the data's scale and the weights"
        )
