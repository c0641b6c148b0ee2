"""Deepest and shallowest: whole layers, counted from the output or from the input; looks at no data.

"Improved localized machine unlearning through the lens of memorization" (Torkzadehmahani and others; TMLR
2025), section 4. Deepest with reset and fine-tuning is EU-k (Goel and others 2022); shallowest is its
control. Order is that of registration, see `numerics.layers`.
"""

import torch
from torch import Tensor, nn

from workers.numerics.layers import layers
from workers.unlearning.localization import ranks


def locate(model: nn.Module, limit: int, *, is_deepest: bool) -> dict[str, Tensor]:
    """Return the masks of the layers nearest to one end of the network that fit, on the CPU.

    Args:
        model: gives the layers, from the input to the output.
        limit: weights that all masks together may hold.
        is_deepest: counts from the output.

    Raises:
        IneffectiveError: the first layer alone holds more.
    """
    found = layers(model)
    sizes = torch.tensor([sum(model.get_parameter(name).numel() for name in one.parameters) for one in found])
    distance = torch.arange(len(found))
    taken = ranks.within(distance.double() * (1 if is_deepest else -1), sizes, limit)
    return {
        name: torch.ones(model.get_parameter(name).shape, dtype=torch.bool)
        for layer, is_taken in zip(found, taken.tolist(), strict=True)
        if is_taken
        for name in layer.parameters
    }
