"""CritMem: for each sample, the channels that must be silenced one after the other until its label flips.

"Can neural network memorization be localized?" (Maini and others; ICML 2023), as section 4 of the DEL paper
takes it over. One sample at a time:

    S_c = sum over channel c of |w_i g_i|      g: gradient of this sample's loss

The channel with the largest S_c is set to zero, the gradient is taken anew, and so on until the network finds
another class as likely as the sample's own. The union over the samples is the answer. Where it holds more
weights than allowed, those channels that more samples name come first.

A forward and backward pass for each step of each sample is dear, and nothing bounds the steps of a sample
that every channel knows. So a sample has at most 50 steps, and all samples together a number of passes:
samples are taken in a random order until these are spent. A sample that is not recognised in the first
place names no channel. Maini and others also look at other data in their criterion, the DEL paper does not.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.numerics import copies, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, trainable_names
from workers.unlearning import gradients
from workers.unlearning.base import Progress, no_progress
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.localization import channels, ranks

MAX_STEPS = 50  # for one sample
UNBATCHED = 8  # what a pass of one sample alone costs in time beside one in a batch, measured on a small net


def locate(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    limit: int,
    *,
    max_passes: int,
    seed: int,
    progress: Progress = no_progress,
) -> tuple[dict[str, Tensor], int]:
    """Return the masks of the channels that samples of the forget set hang on, and the passes it took.

    Args:
        model: gives the channels; not changed.
        params: a full state; not changed.
        samples: to forget.
        limit: weights that all masks together may hold.
        max_passes: forward and backward passes of one sample that may be made, at least one.
        seed: of the samples' order.
        progress: told the fraction of the passes made; may raise to cancel.

    Returns:
        Masks on the CPU, a tensor without a chosen channel has none; and the number of passes.

    Raises:
        IneffectiveError: no sample looked at is recognised, or the channel named most does not fit.
        DatasetRowError: a row cannot be read.
    """
    found = channels.blocks(model)
    counts = torch.zeros(sum(block.num_channels for block in found), dtype=torch.int64)
    order = torch.randperm(len(samples), generator=seeding.generator(seed, "crit_mem")).numpy()
    num_passes = 0
    for image, label in samples.take(order).batches(1):
        if num_passes >= max_passes:
            break
        steps = min(MAX_STEPS, max_passes - num_passes)
        named, passes = critical(model, params, found, image, label, steps)
        counts[named] += 1
        num_passes += passes
        progress(num_passes / max_passes)
    if not bool(counts.any()):
        raise IneffectiveError(
            f"expected forget samples that the model recognises, got none among those that {num_passes} "
            "passes allowed for: choose another strategy"
        )
    named_channels = counts.nonzero().flatten()
    taken = torch.zeros(len(counts), dtype=torch.bool)
    taken[named_channels] = ranks.within(
        counts[named_channels].double(), channels.sizes(found)[named_channels], limit
    )
    return channels.masks(
        found, taken, {name: params[name].shape for name in trainable_names(model)}
    ), num_passes


def critical(
    model: nn.Module,
    params: Params,
    all_blocks: tuple[channels.Block, ...],
    image: Tensor,
    label: Tensor,
    max_steps: int,
) -> tuple[list[int], int]:
    """Return the numbers of the channels that one sample hangs on, most critical first, and the passes made.

    Args:
        model: gives the structure; not changed.
        params: a full state; not changed.
        all_blocks: of the network, in the order in which channels are numbered.
        image: [1, C, H, W].
        label: int64 [1].
        max_steps: passes at most, at least one; the last one may only find that the label has flipped.
    """
    network = copies.private(model, params)
    weights = {name: network.get_parameter(name) for name in trainable_names(network)}
    shapes = {name: weight.shape for name, weight in weights.items()}
    named: list[int] = []
    for step in range(max_steps):
        answer, slopes = gradients.answered(network, weights, image, label)
        if not _is_given(answer[0], int(label)):
            return named, step + 1
        weighted = {name: (weights[name].detach() * slope).abs() for name, slope in slopes.items()}
        sums = torch.cat([block.rows(weighted).sum(dim=1) for block in all_blocks])
        if not bool(sums.max() > 0):
            return named, step + 1
        named.append(int(sums.argmax()))
        chosen = torch.zeros(len(sums), dtype=torch.bool)
        chosen[named[-1]] = True
        _silence(weights, channels.masks(all_blocks, chosen, shapes))
    return named, max_steps


def _is_given(logits: Tensor, label: int) -> bool:
    """Tell whether a class is more likely than all others; a network gone silent gives none."""
    return bool((logits[label] > torch.cat([logits[:label], logits[label + 1 :]])).all())


def _silence(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Set channels of a private network to zero."""
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(mask.to(weights[name].device), 0.0)
