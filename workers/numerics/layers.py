"""A network's layers in order: which tensors belong to one, and which layer stands nearer to the output.

A *layer* is a module that owns tensors itself; a block of modules is no layer. Order is that of registration,
which for the common architectures is the order of the forward pass; a network that registers otherwise is
read in its own order, and whoever counts layers from the output must know that.
"""

from dataclasses import dataclass

from torch import nn

from workers.numerics.params import trainable_names


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: of the module; empty for the network itself.
        parameters: names of its trainable parameters, a tied one only in its first layer.
        buffers: names of what it keeps beside them, such as batch norm's statistics.
    """

    name: str
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """All its names."""
        return (*self.parameters, *self.buffers)


def layers(model: nn.Module) -> tuple[Layer, ...]:
    """Return the layers that have trainable parameters, from the input to the output."""
    trainable = {*trainable_names(model)}
    persistent = model.state_dict(keep_vars=True).keys()
    found = []
    for prefix, module in model.named_modules():
        dotted = f"{prefix}." if prefix else ""
        parameters = [f"{dotted}{name}" for name, _ in module.named_parameters(recurse=False)]
        buffers = [f"{dotted}{name}" for name, _ in module.named_buffers(recurse=False)]
        own = tuple(name for name in parameters if name in trainable)
        if own:
            found.append(Layer(prefix, own, tuple(name for name in buffers if name in persistent)))
    return tuple(found)


def last(model: nn.Module, num_layers: int | None = None) -> tuple[Layer, ...]:
    """Return the layers nearest to the output, the last one last; None for a third of them, rounded up.

    All layers, if there are fewer.
    """
    every = layers(model)
    return every[-(num_layers or -(-len(every) // 3)) :]
