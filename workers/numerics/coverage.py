"""Which parameters of a network the rules can account for, found by looking, not by trusting its class.

A rule may stand in for autograd only if it sees all of a parameter's work: the graph takes the parameter
once, in one recorded call, or only through recorded spreads; and at that place each sample's own gradient is
found in that sample's own entries of one axis. Both are read off the graphs of two tiny batches. Everything
else is loose, its gradients taken sample by sample: a tied or reused parameter, the tokens of all samples
laid out in an order of their own, a function without a rule.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from workers.numerics import calling, graphs
from workers.numerics.losses import FisherError
from workers.numerics.recording import Call, Recorder, Spread


@dataclass(frozen=True)
class Place:
    """One recorded call or spread, which every further forward pass shows again.

    Attributes:
        names: of its parameters; for a spread, of those that its source was grown from.
        axis: the one that holds the samples; None if no rule may be used here.
    """

    names: tuple[str, ...]
    axis: int | None


@dataclass(frozen=True)
class Coverage:
    """The trainable parameters of a network, each by how its squared gradients are found.

    Attributes:
        ruled: by the rule of the call that they work in, a batch at a time.
        spread: at the places where they meet the samples, a batch at a time.
        loose: by a backward pass a sample.
        unused: not part of the output; their gradient is zero.
        places: in the order of the forward pass.
    """

    ruled: tuple[str, ...]
    spread: tuple[str, ...]
    loose: tuple[str, ...]
    unused: tuple[str, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class _Look:
    """One tiny batch's forward pass.

    Attributes:
        images: [n, C, H, W], part of the graph.
        logits: [n, classes], its end.
        records: in the order of the forward pass.
        names: of each record's parameters.
        is_whole: for each record, that the graph contains it, and a spread's source no other record.
        uses: how many operations of the graph take each parameter, those behind spreads left out.
    """

    images: Tensor
    logits: Tensor
    records: tuple[Call | Spread, ...]
    names: tuple[tuple[str, ...], ...]
    is_whole: tuple[bool, ...]
    uses: Counter[str]


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
    # Two sizes, so that a dimension that only happens to be as long as the batch is found out.
    two, three = (_look(network, image, num_samples) for num_samples in (2, 3))
    places = _places(two, three) if two.names == three.names else ()
    uses = two.uses | three.uses
    behind_spreads = {
        name
        for look in (two, three)
        for record, names in zip(look.records, look.names, strict=True)
        if type(record) is Spread
        for name in names
    }
    num_calls = Counter(
        name
        for record, names in zip(two.records, two.names, strict=True)
        if type(record) is Call
        for name in names
    )
    unfit = {name for place in places if place.axis is None for name in place.names}
    kinds: dict[str, list[str]] = {"ruled": [], "spread": [], "loose": [], "unused": []}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if uses[name] == 0 and name not in behind_spreads:
            kind = "unused"
        elif not places or name in unfit:
            kind = "loose"
        elif name in behind_spreads:
            kind = "spread" if uses[name] == 0 else "loose"
        else:
            kind = "ruled" if uses[name] == num_calls[name] == 1 else "loose"
        kinds[kind].append(name)
    return Coverage(
        tuple(kinds["ruled"]),
        tuple(kinds["spread"]),
        tuple(kinds["loose"]),
        tuple(kinds["unused"]),
        places,
    )


def split(tensor: Tensor, axis: int, num_samples: int) -> Tensor:
    """Return a view [n, items, ...]: the samples' axis first, split into samples and what each has there."""
    first = tensor.movedim(axis, 0)
    return first.reshape(num_samples, first.shape[0] // num_samples, *first.shape[1:])


def _look(network: nn.Module, image: Tensor, num_samples: int) -> _Look:
    shades = torch.linspace(0.5, 1.0, num_samples, dtype=image.dtype, device=image.device)
    images = (image * shades.view(-1, *(1,) * (image.ndim - 1))).requires_grad_()
    recorder = Recorder(network)
    with torch.enable_grad(), recorder:
        # A copy, since a network may work in place on what it is given.
        logits = calling.check_logits(network(images.clone()), num_samples)
    nodes = {record.edge.node for record in recorder.records}
    spread_nodes = {record.edge.node for record in recorder.records if isinstance(record, Spread)}
    uses, reached = graphs.walk([logits.grad_fn], spread_nodes)

    name_of = {id(parameter): name for name, parameter in network.named_parameters()}
    names, is_whole = [], []
    for record in recorder.records:
        node = record.edge.node
        if isinstance(record, Call):
            names.append(_names_of(map(id, record.operation.parameters), name_of))
            is_whole.append(node in reached)
        else:
            leaves, behind = graphs.walk([node])
            names.append(_names_of(leaves, name_of))
            is_whole.append(node in reached and behind & nodes == {node})
    return _Look(
        images,
        logits,
        tuple(recorder.records),
        tuple(names),
        tuple(is_whole),
        Counter({name_of[identity]: count for identity, count in uses.items() if identity in name_of}),
    )


def _names_of(identities: Iterable[int], name_of: dict[int, str]) -> tuple[str, ...]:
    return tuple(sorted(name_of[identity] for identity in identities if identity in name_of))


def _places(two: _Look, three: _Look) -> tuple[Place, ...]:
    """Return each record with the axis that holds the samples, if that stands every test."""
    axes = [
        _axis(one, other) if is_whole else None
        for one, other, is_whole in zip(
            two.records,
            three.records,
            (a and b for a, b in zip(two.is_whole, three.is_whole, strict=True)),
            strict=True,
        )
    ]
    for look in (two, three):
        is_apart = _are_apart(look, axes)
        axes = [axis if fits else None for axis, fits in zip(axes, is_apart, strict=True)]
    return tuple(Place(names, axis) for names, axis in zip(two.names, axes, strict=True))


def _axis(two: Call | Spread, three: Call | Spread) -> int | None:
    """Return the one axis as long as the batch, or a multiple of it."""
    if len(two.shape) != len(three.shape):
        return None
    changed = [
        axis for axis, sizes in enumerate(zip(two.shape, three.shape, strict=True)) if len({*sizes}) > 1
    ]
    if len(changed) != 1 or 3 * two.shape[changed[0]] != 2 * three.shape[changed[0]]:
        return None
    (axis,) = changed
    if type(two) is not Call:
        return axis if axis == 0 else None
    inputs = two.operation.inputs
    if two.operation.is_batch_first and axis != 0:
        return None
    return axis if inputs.ndim > axis and inputs.shape[axis] == two.shape[axis] else None


def _are_apart(look: _Look, axes: list[int | None]) -> list[bool]:
    """Return, for each record, whether the gradient of a sample's logits stays within its own entries.

    Raises:
        FisherError: as `survey`.
    """
    num_samples, num_classes = look.logits.shape
    # Uneven, so that logits with a fixed sum have a gradient too.
    weights = torch.linspace(1.0, 2.0, num_classes, dtype=look.logits.dtype, device=look.logits.device)
    edges = [get_gradient_edge(look.images), *(record.edge for record in look.records)]
    fits = [True] * len(look.records)
    is_seen = [False] * len(look.records)
    for sample in (0, 1):
        try:
            of_images, *gradients = torch.autograd.grad(
                (look.logits[sample] * weights).sum(),
                edges,
                retain_graph=True,
                allow_unused=True,
            )
        except RuntimeError as error:
            raise FisherError(
                f"expected a model that autograd can differentiate, got {error}; "
                "register one that can be trained"
            ) from error
        others = [other for other in range(num_samples) if other != sample]
        if of_images is not None and bool(of_images[others].any()):
            raise FisherError(
                "expected each sample's logits to depend on that sample alone, got a model that mixes the "
                "samples of a batch; give its batch norms running statistics"
            )
        for index, (gradient, axis) in enumerate(zip(gradients, axes, strict=True)):
            if gradient is None or axis is None:
                continue
            by_sample = split(gradient, axis, num_samples)
            fits[index] &= not bool(by_sample[others].any())
            # With several entries a sample, only a gradient shows that they lie side by side.
            is_seen[index] |= by_sample.shape[1] == 1 or bool(by_sample[sample].any())
    return [fit and seen for fit, seen in zip(fits, is_seen, strict=True)]
