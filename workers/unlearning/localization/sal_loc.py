"""SalLoc: the single weights with the largest gradients of the forget set, SalUn's choice.

"SalUn" (Fan and others; ICLR 2024), Equation 2, as section 4 of the DEL paper takes it over: a share of all
weights by rank, not those above a fixed value.

    s_i = |g_i|      g: gradient of the forget set's mean loss
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from workers.unlearning.localization import ranks


def locate(gradients: Mapping[str, Tensor], limit: int) -> dict[str, Tensor]:
    """Return the masks of exactly `limit` weights; a tensor with none of them has no mask.

    Args:
        gradients: of the forget set, by trainable parameter.
        limit: weights to take; at least one.

    Raises:
        IneffectiveError: a gradient is not finite, or the limit is zero.
    """
    scores = torch.cat([gradient.abs().flatten() for gradient in gradients.values()])
    taken = ranks.within(scores, torch.ones(len(scores), dtype=torch.int64), limit)
    parts = torch.split(taken, [gradient.numel() for gradient in gradients.values()])
    return {
        name: part.reshape(gradient.shape)
        for (name, gradient), part in zip(gradients.items(), parts, strict=True)
        if bool(part.any())
    }
