"""The exact diagonal of the empirical Fisher information: the mean of squared per-sample gradients.

    I(theta) = 1/N sum_n (d/dtheta -log p(y_n | x_n; theta))^2        elementwise, one value a parameter

which is equation 4 of "Fast machine unlearning without retraining through selective synaptic dampening"
(Foster, Schoepf, Brintrup; AAAI 2024) as the paper defines it, not as its code computes it: squares of
batch means are another quantity, and depend on the order of the data. The network runs in evaluation mode:
batch norm uses its running statistics, dropout is off.

Cost: one forward pass, one backward pass to the activations, and the rules of `squares`; memory is that of
one batch plus a few parameter sets, never samples x parameters. Parameters that no rule covers (see
`coverage`) cost one forward and backward pass a sample on top.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from workers.numerics import calling, coverage
from workers.numerics.batches import SampleSet
from workers.numerics.coverage import Coverage, FisherError
from workers.numerics.params import Params, load_params, trainable_names
from workers.numerics.squares import RULES

__all__ = ["ClassFishers", "FisherError", "diagonal_fisher", "per_class_fishers"]


@dataclass(frozen=True)
class ClassFishers:
    """One diagonal Fisher a class.

    Attributes:
        fishers: class -> mean over its samples, as `diagonal_fisher` gives it; absent without samples.
        counts: class -> number of samples, for every class.
        loose: the parameters that no layer rule covers and that made this slow; empty for common networks.
    """

    fishers: dict[int, Params]
    counts: dict[int, int]
    loose: tuple[str, ...]


def diagonal_fisher(
    model: nn.Module,
    params: Params,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Params:
    """Return the mean or sum over samples of the squared gradient of each sample's own cross entropy.

    Args:
        model: gives the structure and says what is trainable (requires_grad); not changed.
        params: a full state; computation and sums are on its device and in its floating type.
        batches: (images [b, C, H, W], labels [b]); sizes may differ.
        reduction: over samples. Both agree up to the factor 1/N.

    Returns:
        A new tensor for each trainable parameter, under its name; zeros if the output ignores it.

    Raises:
        FisherError: there are no samples, a label has no output, or the model has no per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        WeightsError: `params` is no state of `model`.
    """
    network = _private_copy(model, params)
    plan: Coverage | None = None
    sums = _zeros(network)
    num_samples = 0
    for images, labels in batches:
        images = calling.like(images, params)
        plan = plan or coverage.survey(network, images[:1])
        _add_squares(sums, network, plan, images, labels)
        num_samples += len(labels)
    if num_samples == 0:
        raise FisherError("expected at least one sample, got none; skip the Fisher of an empty set")
    return sums if reduction == "sum" else {name: total / num_samples for name, total in sums.items()}


def per_class_fishers(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    num_classes: int,
    *,
    batch_size: int = 64,
    progress: Callable[[float], None] | None = None,
) -> ClassFishers:
    """Return the mean Fisher of each class in one pass over the samples, class by class.

    The Fisher of any set of classes is the mean of theirs weighted by `counts`.

    Args:
        model: as in `diagonal_fisher`.
        params: as in `diagonal_fisher`.
        samples: [n]; labels at least 0.
        num_classes: classes 0 to num_classes - 1 are looked for; samples of others are left out.
        batch_size: samples of one class a batch.
        progress: called with the share of samples done; may raise to cancel.

    Raises:
        FisherError: a label has no output, or the model has no per-sample gradients.
        CallError: the model's output is not one row of logits a sample.
        WeightsError: `params` is no state of `model`.
    """
    network = _private_copy(model, params)
    counts = torch.bincount(samples.labels, minlength=num_classes)[:num_classes].tolist()
    plan: Coverage | None = None
    fishers: dict[int, Params] = {}
    done = 0
    for label in (label for label, count in enumerate(counts) if count):
        sums = _zeros(network)
        members = samples.take((samples.labels == label).nonzero()[:, 0].numpy())
        for images, labels in members.batches(batch_size):
            images = calling.like(images, params)
            plan = plan or coverage.survey(network, images[:1])
            _add_squares(sums, network, plan, images, labels)
            done += len(labels)
            if progress is not None:
                progress(done / sum(counts))
        fishers[label] = {name: total / counts[label] for name, total in sums.items()}
    return ClassFishers(fishers, dict(enumerate(counts)), plan.loose if plan else ())


def _add_squares(sums: Params, network: nn.Module, plan: Coverage, images: Tensor, labels: Tensor) -> None:
    """Add each sample's squared gradients to `sums`, in place; images [b, C, H, W], labels [b]."""
    # On a GPU, a label past the last logit would end the process.
    if int(labels.max()) >= plan.num_outputs:
        raise FisherError(
            f"expected labels below the model's {plan.num_outputs} outputs, got {int(labels.max())}; "
            "register the architecture with as many classes as the data set has"
        )
    labels = labels.to(images.device)
    with torch.enable_grad():
        if plan.ruled:
            _add_by_rule(sums, network, plan, images, labels)
        if plan.loose:
            _add_by_sample(sums, network, plan, images, labels)


def _add_by_rule(sums: Params, network: nn.Module, plan: Coverage, images: Tensor, labels: Tensor) -> None:
    """One forward pass; one backward pass to the layers' outputs only; then each layer's rule."""
    with coverage.recording(network) as calls:
        loss = nn.functional.cross_entropy(network(images), labels, reduction="sum")
    calls = [call for call in calls if any(name in plan.ruled for name in _parameters_of(call))]
    gradients = torch.autograd.grad(loss, [call.output for call in calls], allow_unused=True)
    with torch.no_grad():
        for call, gradient in zip(calls, gradients, strict=True):
            if gradient is None:
                continue
            squares = RULES[type(call.layer)](call.layer, call.inputs, gradient)
            for full_name, own_name in _parameters_of(call).items():
                if full_name in plan.ruled:
                    sums[full_name] += squares[own_name]


def _add_by_sample(sums: Params, network: nn.Module, plan: Coverage, images: Tensor, labels: Tensor) -> None:
    """One forward and one backward pass for each sample, for the loose parameters."""
    parameters = [network.get_parameter(name) for name in plan.loose]
    for index in range(len(labels)):
        one = slice(index, index + 1)
        loss = nn.functional.cross_entropy(network(images[one]), labels[one], reduction="sum")
        gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
        for name, gradient in zip(plan.loose, gradients, strict=True):
            sums[name] += gradient.square()


def _parameters_of(call: coverage.LayerCall) -> dict[str, str]:
    """Return the layer's own parameters, full name -> own name."""
    prefix = f"{call.name}." if call.name else ""
    return {prefix + name: name for name, _ in call.layer.named_parameters(recurse=False)}


def _private_copy(model: nn.Module, params: Params) -> nn.Module:
    """Return a copy of the model with these values, in evaluation mode, that hooks may be put on."""
    network = copy.deepcopy(model).to(calling.device_of(params))
    load_params(network, params)
    return network.eval()


def _zeros(network: nn.Module) -> Params:
    return {name: torch.zeros_like(network.get_parameter(name)) for name in trainable_names(network)}
