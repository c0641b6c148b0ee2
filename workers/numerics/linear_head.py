"""Takes a classifier apart into the linear layer that answers and the network before it, its extractor.

Names would guess; the forward pass does not. The *head* is the one linear layer whose output is, untouched,
what the network returns. Its input is the sample's *features*, a row a sample. A network that does anything
after its last linear layer has no linear head, and neither has one whose head shares weights with a layer
before it: to change that head would change the features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.numerics import calling, copies
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params

BATCH_SIZE = 256
Progress = Callable[[float], None]


class HeadError(ValueError):
    """The network does not end in a linear layer of its own."""


@dataclass(frozen=True)
class LinearHead:
    """The last layer: logits = features @ weight.T + bias.

    Attributes:
        layer: name of the module.
        weight: name of its weight, [num_classes, num_features].
        bias: name of its bias, [num_classes]; None without one.
    """

    layer: str
    weight: str
    bias: str | None

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def placed(self, params: Params, weight: Tensor) -> Params:
        """Return a state with this head, in the device and dtypes of the state; nothing is changed in place.

        Args:
            params: a full state.
            weight: [num_classes, num_features], or one column more if there is a bias, which is the last.
        """
        width = params[self.weight].shape[1]
        placed = {**params, self.weight: weight[:, :width].to(params[self.weight])}
        if self.bias is not None:
            placed[self.bias] = weight[:, width].to(params[self.bias])
        return placed

    def read(self, params: Params) -> Tensor:
        """Return a state's head in float64, the bias as last column; the inverse of `placed`."""
        weight = params[self.weight].double()
        return weight if self.bias is None else torch.cat([weight, params[self.bias].double()[:, None]], 1)


def find(model: nn.Module, input_shape: Sequence[int]) -> LinearHead:
    """Return the head of a network; it is asked of an empty image, of no sample.

    Args:
        model: with any values; not changed.
        input_shape: of an image, [C, H, W].

    Raises:
        HeadError: there is none, or its weights serve elsewhere too.
    """
    calls: list[tuple[str, object]] = []
    linear = {name: each for name, each in model.named_modules() if isinstance(each, nn.Linear)}
    reference = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(1))
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: calls.append((name, output)))
        for name, module in linear.items()
    ]
    try:
        with calling.evaluating(model), torch.no_grad():
            answer = model(torch.zeros(2, *input_shape, device=reference.device, dtype=reference.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    names = [name for name, output in calls if output is answer]
    if len(names) != 1 or sum(name == names[0] for name, _ in calls) != 1:
        raise HeadError(
            "expected a network that returns what its last linear layer says, got one that ends otherwise: "
            "use an architecture with a linear head"
        )
    head = linear[names[0]]
    own = {id(parameter) for parameter in head.parameters()}
    uses = [name for name, each in model.named_parameters(remove_duplicate=False) if id(each) in own]
    if len(uses) != len(own):
        raise HeadError(
            f"expected a last layer with weights of its own, got {len(uses) - len(own)} that another layer "
            "uses too: untie them"
        )
    dotted = f"{names[0]}." if names[0] else ""
    return LinearHead(names[0], f"{dotted}weight", None if head.bias is None else f"{dotted}bias")


def features(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    head: LinearHead,
    progress: Progress = lambda _fraction: None,
) -> Tensor:
    """Return what the head is given of each sample; float32 [n, num_features] on the device of `params`.

    One forward pass in evaluation mode; nothing is changed.

    Raises:
        HeadError: the head is not given one row a sample.
        DatasetRowError: a row cannot be read.
    """
    network = copies.private(model, params)
    given: list[Tensor] = []
    layer = network.get_submodule(head.layer)
    weight = network.get_parameter(head.weight)
    hook = layer.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0].detach().float()))
    try:
        with torch.no_grad():
            for images, _ in samples.batches(BATCH_SIZE):
                network(calling.like(images, {"": weight.detach()}))
                if given[-1].ndim != 2 or len(given[-1]) != len(images):
                    raise HeadError(
                        f"expected features of shape [{len(images)}, n], got {list(given[-1].shape)}: use an "
                        "architecture whose head sees one row a sample"
                    )
                progress(sum(map(len, given)) / len(samples))
    finally:
        hook.remove()
    return torch.cat(given) if given else torch.zeros(0, weight.shape[1], device=weight.device)
