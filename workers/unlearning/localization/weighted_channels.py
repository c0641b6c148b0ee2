"""DEL's own strategy: the channels whose largest weighted gradients on the forget set are largest.

"Improved localized machine unlearning through the lens of memorization" (Torkzadehmahani and others; TMLR
2025), section 5.2:

    s_i = |w_i g_i|      S_c = mean of the k largest s_i of channel c      g: gradient of the forget set

k is a share of *the channel's own* weights and at least one, so that a channel with few weights, as a small
head has, is scored like any other.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.unlearning.localization import channels, ranks


def scores(
    all_blocks: tuple[channels.Block, ...],
    params: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    top_share: float,
) -> Tensor:
    """Return how critical each channel is to the forget set, [channels of all blocks].

    Args:
        all_blocks: of the network.
        params: the weights.
        gradients: of the forget set, by trainable parameter.
        top_share: of a channel's weights that counts, in (0, 1].
    """
    weighted = {name: (params[name] * gradient).abs() for name, gradient in gradients.items()}
    return torch.cat([channels.top_mean(block.rows(weighted), top_share) for block in all_blocks])


def locate(
    model: nn.Module,
    params: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    limit: int,
    top_share: float,
) -> dict[str, Tensor]:
    """Return the masks of the most critical channels that fit, on the CPU.

    Args:
        model: gives the channels.
        params: the weights.
        gradients: of the forget set, by trainable parameter.
        limit: weights that all masks together may hold.
        top_share: of a channel's weights that counts, in (0, 1].

    Raises:
        IneffectiveError: a gradient is not finite, or the most critical channel alone holds more.
    """
    found = channels.blocks(model)
    taken = ranks.within(scores(found, params, gradients, top_share), channels.sizes(found), limit)
    return channels.masks(found, taken, {name: one.shape for name, one in gradients.items()})
