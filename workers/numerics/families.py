"""Tells the family of an architecture: what evidence about one network may be carried to another.

A method that was measured on small networks is believed on others of the same build, not of any. Three
families are told apart by what mixes the inputs: *attention* between positions, *convolution* over
neighbours, or neither. A network with several belongs to the first of these.
"""

from enum import StrEnum

from torch import nn

_ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
_CONVOLUTION = (nn.modules.conv._ConvNd,)


class ArchitectureFamily(StrEnum):
    """How a network mixes its inputs."""

    TRANSFORMER = "transformer"
    CONVOLUTIONAL = "convolutional"
    PERCEPTRON = "perceptron"


def family_of(model: nn.Module) -> ArchitectureFamily:
    """Return the family of a built network, from its layers alone; weights do not matter.

    Attention that is written out in other layers is known by the word in its class's name, as torchvision's
    `ShiftedWindowAttention` is; where that is missing too, the network counts as what its other layers are.
    """
    layers = [*model.modules()]
    if any(isinstance(each, _ATTENTION) or "attention" in type(each).__name__.lower() for each in layers):
        return ArchitectureFamily.TRANSFORMER
    if any(isinstance(each, _CONVOLUTION) for each in layers):
        return ArchitectureFamily.CONVOLUTIONAL
    return ArchitectureFamily.PERCEPTRON
