"""Which parameters of a network the layer rules can account for, found by looking, not by trusting its class.

A rule may stand in for autograd only if it sees all of a parameter's work: the parameter is used once in
the graph, by a layer whose kind has a rule, on an input whose first dimension is the batch. Everything else
is loose, its gradients taken sample by sample: a tied or reused parameter, one that a module uses past its
layer's call (attention does), tokens laid out before samples, a kind of layer without a rule.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from workers.numerics import calling
from workers.numerics.squares import RULES


class FisherError(ValueError):
    """The per-sample gradients of this model or data are not defined."""


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer that has a rule.

    Attributes:
        name: of the layer in the network.
        layer: itself.
        inputs: [n, ...] as the layer saw them, detached.
        output: where the graph leaves the layer, as it was before any operation in place.
    """

    name: str
    layer: nn.Module
    inputs: Tensor
    output: GradientEdge


@dataclass(frozen=True)
class Coverage:
    """The trainable parameters of a network, each by how its squared gradients are found.

    Attributes:
        ruled: by the rule of the layer that owns them, a batch at a time.
        loose: by a backward pass a sample.
        unused: not part of the output; their gradient is zero.
        num_outputs: logits a sample.
    """

    ruled: frozenset[str]
    loose: tuple[str, ...]
    unused: tuple[str, ...]
    num_outputs: int


@contextmanager
def recording(network: nn.Module) -> Iterator[list[LayerCall]]:
    """Collect the calls of layers with a rule while the block runs the network."""
    calls: list[LayerCall] = []

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if len(inputs) != 1 or not output.requires_grad:
            return None
        # In place on a view, an operation replaces the view's node in the graph; on a copy it adds one after.
        kept = output.clone() if output._is_view() else output
        calls.append(LayerCall(name, layer, inputs[0].detach(), get_gradient_edge(kept)))
        return kept

    handles = [
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: record(name, layer, inputs, output)
        )
        for name, layer in network.named_modules()
        if type(layer) in RULES
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def survey(network: nn.Module, image: Tensor) -> Coverage:
    """Find out, from two tiny batches, which rules may be used on this network.

    Args:
        network: in evaluation mode; not changed.
        image: [1, C, H, W], any image of the data, on the network's device.

    Raises:
        FisherError: the samples of a batch influence one another, so that a per-sample gradient is not
            defined, or autograd cannot differentiate the network.
        CallError: its output is not one row of logits a sample.
    """
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    covered, unused = set(names), set(names)
    # Two sizes, so that a dimension that only happens to be as long as the batch is found out.
    for num_samples in (2, 3):
        shades = torch.linspace(0.5, 1.0, num_samples, dtype=image.dtype, device=image.device)
        images = (image * shades[:, None, None, None]).requires_grad_()
        with torch.enable_grad(), recording(network) as calls:
            logits = calling.check_logits(network(images), num_samples)
        covered &= _covered(network, logits, calls, num_samples)
        try:
            _check_independent(logits, images)
            unused &= _unused(network, logits, names)
        except RuntimeError as error:
            raise FisherError(
                f"expected a model that autograd can differentiate, got {error}; "
                "register one that can be trained"
            ) from error
    return Coverage(
        ruled=frozenset(covered - unused),
        loose=tuple(name for name in names if name not in covered and name not in unused),
        unused=tuple(name for name in names if name in unused),
        num_outputs=logits.shape[1],
    )


def _covered(network: nn.Module, logits: Tensor, calls: list[LayerCall], num_samples: int) -> set[str]:
    """Return the parameters whose one use in the graph is one call of a layer with a rule."""
    uses = _parameter_uses(logits)
    calls_of = Counter(id(parameter) for call in calls for parameter in call.layer.parameters(recurse=False))
    batched = {
        id(parameter)
        for call in calls
        if call.inputs.ndim > 1 and len(call.inputs) == num_samples
        for parameter in call.layer.parameters(recurse=False)
    }
    return {
        name
        for name, parameter in network.named_parameters()
        if id(parameter) in batched and uses[id(parameter)] == calls_of[id(parameter)] == 1
    }


def _parameter_uses(logits: Tensor) -> Counter[int]:
    """Return how many operations of the graph take each leaf tensor, by its id."""
    uses: Counter[int] = Counter()
    waiting = [logits.grad_fn]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        for following, _ in node.next_functions if node is not None else ():
            variable = getattr(following, "variable", None)
            if variable is not None:
                uses[id(variable)] += 1
            elif following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return uses


def _unused(network: nn.Module, logits: Tensor, names: list[str]) -> set[str]:
    parameters = [network.get_parameter(name) for name in names]
    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is None}


def _check_independent(logits: Tensor, images: Tensor) -> None:
    (gradient,) = torch.autograd.grad(logits[0].sum(), images, retain_graph=True)
    if bool(gradient[1:].any()):
        raise FisherError(
            "expected each sample's logits to depend on that sample alone, got a model that mixes the "
            "samples of a batch; give its batch norms running statistics"
        )
