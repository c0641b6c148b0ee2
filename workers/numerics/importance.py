"""How much each weight matters to some samples: the diagonal Fisher, and two quantities in its place.

- per_sample: the mean squared gradient of each sample's cross entropy, the diagonal of the empirical Fisher
  information as "Fast machine unlearning without retraining through selective synaptic dampening" (Foster,
  Schoepf, Brintrup; AAAI 2024, Equation 4) defines it.
- batch: the mean over batches of 64 of the squared gradient of the batch's mean cross entropy, in the order
  of the classes, which is what that paper's experiments computed. It depends on the order and on the batch
  size; it exists to compare with published numbers.
- label_free: the mean squared gradient of each sample's squared norm of the logits. "Loss-free machine
  unlearning" (Foster, Schoepf, Brintrup; 2024) takes the gradient of that norm; labels play no part.
"""

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies
from workers.numerics.batches import SampleSet
from workers.numerics.fisher import FisherSum
from workers.numerics.losses import FisherError, cross_entropy_sum, squared_norm
from workers.numerics.params import Params, trainable_names

BATCH_SIZE = 64


class Importance(StrEnum):
    """The quantities, by the name that a request gives them."""

    PER_SAMPLE = "per_sample"
    BATCH = "batch"
    LABEL_FREE = "label_free"


def measure(
    importance: Importance,
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    progress: Callable[[float], None] | None = None,
) -> Params:
    """Return the mean importance of each trainable parameter over the samples; evaluation mode.

    Args:
        importance: which quantity.
        model: gives the structure and says what is trainable; not changed.
        params: the weights to measure at, on their device; half precision is computed in float32.
        samples: at least one.
        progress: told the share done, in [0, 1]; may raise to cancel.

    Returns:
        A new tensor a trainable parameter, under its name; zeros where the output ignores it.

    Raises:
        FisherError: there are no samples, a label has no output, or a value is not finite.
        CallError: the model's output is not one row of logits a sample.
        DatasetRowError: a row cannot be read.
    """
    batches = _sorted_by_class(samples) if importance is Importance.BATCH else samples
    total = (
        _BatchSum(model, params) if importance is Importance.BATCH else _sample_sum(importance, model, params)
    )
    done = 0
    for images, labels in batches.batches(BATCH_SIZE):
        total.add(images, labels)
        done += len(labels)
        if progress is not None:
            progress(done / len(samples))
    return total.mean()


class _BatchSum:
    """Squares of batch-mean gradients in the making; the same shape as `FisherSum`."""

    def __init__(self, model: nn.Module, params: Params) -> None:
        self._network = copies.private(model, params)
        self._weights: Params = {
            name: self._network.get_parameter(name) for name in trainable_names(self._network)
        }
        self._sums = {name: torch.zeros_like(value) for name, value in self._weights.items()}
        self._num_batches = 0

    def add(self, images: Tensor, labels: Tensor) -> None:
        with torch.enable_grad():
            logits = calling.check_logits(self._network(calling.like(images, self._weights)), len(images))
            loss = cross_entropy_sum(logits, labels.to(logits.device)) / len(labels)
            gradients = torch.autograd.grad(loss, [*self._weights.values()], allow_unused=True)
        for total, gradient in zip(self._sums.values(), gradients, strict=True):
            if gradient is not None:
                total.addcmul_(gradient, gradient)
        self._num_batches += 1

    def mean(self) -> Params:
        if self._num_batches == 0:
            raise FisherError("expected at least one sample, got none; skip the importance of an empty set")
        broken = [name for name, total in self._sums.items() if not bool(torch.isfinite(total).all())]
        if broken:
            raise FisherError(
                f"expected finite squared gradients, got NaN or infinity in {broken[0]!r}; "
                "check the data's scale and the weights"
            )
        return {name: total / self._num_batches for name, total in self._sums.items()}


def _sample_sum(importance: Importance, model: nn.Module, params: Params) -> FisherSum:
    loss = squared_norm if importance is Importance.LABEL_FREE else cross_entropy_sum
    return FisherSum(model, params, loss=loss)


def _sorted_by_class(samples: SampleSet) -> SampleSet:
    return samples.take(torch.argsort(samples.labels, stable=True).numpy())
