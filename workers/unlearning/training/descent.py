"""Gradient descent on any loss over batches, on the weights that a mask lets go.

What nearly every published method does after its own idea. A *stage* is a run of steps with one course and
one loss; a method may have several, each starting from what the one before left. The loss is given the
network as it stands and one batch of each set that the stage reads.

Rules. Weights outside the mask keep their bytes, whatever weight decay and momentum would do to them: both
act on masked weights alone. The network stays in evaluation mode, so that batch norm keeps its statistics and
dropout is off, unless the course asks to adapt them. The outcome depends on nothing but the weights, the
samples, the course and the seed.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names
from workers.unlearning.base import Json, Progress, no_progress
from workers.unlearning.errors import DivergedError

Network: TypeAlias = Callable[[Tensor], Tensor]
"""Images [n, C, H, W] -> logits [n, num_classes], at the weights as they stand, with gradients."""


@dataclass(frozen=True)
class Batch:
    """Some samples on the device of the weights, in their floating type.

    Attributes:
        images: [n, C, H, W].
        labels: int64 [n].
        positions: int64 [n], rows of the manifest, on the CPU.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor


Loss: TypeAlias = Callable[[Network, Sequence[Batch]], Tensor]
"""(network, one batch of each set) -> scalar to be made smaller."""

Penalty: TypeAlias = Callable[[Mapping[str, Tensor], int], Tensor]
"""(weights that may move, by name; the step, from 0) -> scalar to be added to the loss."""


@dataclass(frozen=True)
class Course:
    """How far a stage goes.

    Attributes:
        num_steps: of the optimizer.
        learning_rate: at the first step.
        momentum: of SGD.
        weight_decay: of SGD, on masked weights alone.
        is_cosine: whether the learning rate falls along a half cosine to zero; else it stays.
        adapts_statistics: whether the network is in training mode, so that batch norm uses each batch's
            statistics and gathers them, and dropout is on.
        max_gradient_norm: a longer gradient, over all masked weights together, is shortened to this; None
            shortens none. A batch norm that keeps its statistics does not tame a first large step.
        warmup_share: of the steps, over which the learning rate rises evenly to its first value.
    """

    num_steps: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    is_cosine: bool = True
    adapts_statistics: bool = False
    max_gradient_norm: float | None = None
    warmup_share: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Return what identifies the course."""
        return asdict(self)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = int(self.warmup_share * self.num_steps)
        if step < rising:
            return self.learning_rate * (step + 1) / (rising + 1)
        if not self.is_cosine:
            return self.learning_rate
        fallen = (step - rising) / (self.num_steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * fallen)) / 2


def descend(
    model: nn.Module,
    params: Params,
    sets: Sequence[Iterator[Batch]],
    loss: Loss,
    course: Course,
    *,
    mask: Mapping[str, Tensor] | None = None,
    shape_gradient: Callable[[str, Tensor], Tensor] | None = None,
    penalty: Penalty | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Params:
    """Return the weights after one stage.

    Args:
        model: gives the structure and says what is trainable; not changed.
        params: to start from, a full state; not changed.
        sets: one endless stream of batches a set, as `stream` makes them; each step takes one of each.
        loss: of the network and the step's batches. Computed in float32 if the weights are in half precision.
        course: how far to go.
        mask: name -> bool tensor of the parameter's shape, True where a weight may move; a parameter without
            a mask stays. None lets all trainable parameters move.
        shape_gradient: given a parameter's name and gradient, returns the gradient to step along.
        penalty: of the weights themselves, such as their size or their distance from others.
        seed: of dropout, if the course turns it on.
        progress: told the fraction done, in [0, 1]; may raise to cancel.

    Returns:
        New weights, with the names, dtypes and device of `params`. Buffers are the same tensors unless the
        course adapts statistics.

    Raises:
        DivergedError: the loss or a weight is not finite.
        DatasetRowError: a row cannot be read.
    """
    network = copies.private(model, params)
    names = [name for name in trainable_names(network) if mask is None or name in mask]
    weights: Params = {name: network.get_parameter(name) for name in names}
    kept = {} if mask is None else {name: weights[name].detach().clone() for name in names}
    network.train(course.adapts_statistics)

    def call(images: Tensor) -> Tensor:
        return calling.check_logits(network(images), len(images))

    with seeding.isolated(calling.device_of(params), seed, "descent"):
        optimizer = torch.optim.SGD(
            [*weights.values()],
            lr=course.learning_rate,
            momentum=course.momentum,
            weight_decay=course.weight_decay,
        )
        for step in range(course.num_steps):
            for group in optimizer.param_groups:
                group["lr"] = course.rate(step)
            with torch.enable_grad():
                value = loss(call, [next(batches) for batches in sets])
                if penalty is not None:
                    value = value + penalty(weights, step)
            _check_loss(value, step, course)
            optimizer.zero_grad()
            torch.autograd.backward(value)
            if shape_gradient is not None:
                for name, weight in weights.items():
                    if weight.grad is not None:
                        weight.grad = shape_gradient(name, weight.grad)
            if course.max_gradient_norm is not None:
                _restrict(weights, mask)
                nn.utils.clip_grad_norm_(weights.values(), course.max_gradient_norm)
            optimizer.step()
            _restore(weights, kept, mask)
            progress((step + 1) / course.num_steps)
    return _result(network, params, names, course)


def stream(samples: SampleSet, batch_size: int, params: Params, seed: int, name: str) -> Iterator[Batch]:
    """Yield batches without end, in another order each time through.

    Args:
        samples: at least one.
        batch_size: samples in a batch; the last of each time through may be smaller, but for a single sample.
        params: whose device and floating type the images get.
        seed: of the order.
        name: of this stream; streams of other names have other orders.

    Raises:
        DatasetRowError: a row cannot be read.
    """
    for epoch in itertools.count():
        order = torch.randperm(len(samples), generator=seeding.generator(seed, name, epoch)).numpy()
        shuffled, start = samples.take(order), 0
        for images, labels in shuffled.batches(batch_size, merge_single=True):
            positions = torch.from_numpy(shuffled.positions[start : start + len(labels)])
            start += len(labels)
            yield Batch(calling.like(images, _wide(params)), labels.to(calling.device_of(params)), positions)


def whole(params: Params, names: Collection[str]) -> dict[str, Tensor]:
    """Return a mask that lets all weights of these tensors move, and no others."""
    return {name: torch.ones_like(params[name], dtype=torch.bool) for name in names}


def _wide(params: Params) -> Params:
    """Return one tensor that says where and how wide the private network computes."""
    reference = next((tensor for tensor in params.values() if tensor.is_floating_point()), torch.zeros(1))
    is_half = reference.dtype in copies.HALVES
    return {"": torch.zeros((), device=reference.device, dtype=torch.float32 if is_half else reference.dtype)}


def _check_loss(value: Tensor, step: int, course: Course) -> None:
    if not math.isfinite(found := float(value.detach())):
        raise DivergedError(
            f"expected a descent that converges, its loss is {found} at step {step + 1} of "
            f"{course.num_steps}: state a smaller learning rate"
        )


def _restrict(weights: Params, mask: Mapping[str, Tensor] | None) -> None:
    """Take out of the gradients what the mask keeps from moving, so that their norm is that of the step."""
    if mask is None:
        return
    for name, weight in weights.items():
        if weight.grad is not None:
            weight.grad = torch.where(mask[name], weight.grad, 0)


def _restore(weights: Params, kept: Params, mask: Mapping[str, Tensor] | None) -> None:
    """Put back what weight decay or momentum moved outside the mask."""
    if mask is None:
        return
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(torch.where(mask[name], weight, kept[name]))


def _result(network: nn.Module, params: Params, names: Sequence[str], course: Course) -> Params:
    found = {name: network.get_parameter(name).detach().to(params[name].dtype) for name in names}
    if course.adapts_statistics:
        buffers = dict(network.named_buffers())
        found |= {
            name: buffers[name].detach().to(tensor.dtype)
            for name, tensor in params.items()
            if name in buffers
        }
    broken = [name for name, value in found.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise DivergedError(f"the descent made {broken[0]} non-finite: state a smaller learning rate")
    return {**params, **found}
