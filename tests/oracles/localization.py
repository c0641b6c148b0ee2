"""Slow, dense references of the criteria that localisation ranks by: a sample, a channel, a weight at a time.

They know nothing of blocks, axes or batches: a channel is told by the tests as a list of (tensor, index of a
slice along the first axis).
"""

import torch
from torch.nn import functional


def gradient(model, params, samples):
    """Return the mean over the samples of the gradient of -log p(label), each sample alone."""
    total = None
    for image, label in samples.batches(1):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in params.items()}
        logits = torch.func.functional_call(model, leaves, (image.to(torch.float64),))
        value = -functional.log_softmax(logits, dim=1)[0, int(label)]
        slopes = torch.autograd.grad(value, [*leaves.values()])
        one = dict(zip(leaves, slopes, strict=True))
        total = one if total is None else {name: total[name] + one[name] for name in one}
    return {name: tensor / len(samples) for name, tensor in total.items()}


def top_mean(values, share):
    """Return the mean of the ceil(share n) largest of n numbers."""
    count = max(1, -int(-share * len(values) // 1))
    return sum(sorted(values, reverse=True)[:count]) / count


def channel_values(channel, params, slopes):
    """Return |w g| of every weight of a channel, as plain numbers."""
    return [
        abs(float(weight) * float(slope))
        for name, index in channel
        for weight, slope in zip(params[name][index].flatten(), slopes[name][index].flatten(), strict=True)
    ]
