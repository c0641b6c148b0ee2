"""What the methods are held against: a masked output as the floor, and fine-tuning on what remains.

The mask changes one number a class and leaves all the model knows in place, so whatever is no better than
it has shown nothing. Fine-tuning serves twice: as a peer that hopes the class is forgotten on the way, and
as the test of whether a class comes back when a model is trained on, with no image of it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from benchmarks.setting import Setting
from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params, load_params, state_of, trainable_names

MASK = -1e4
BATCH_SIZE = 128


def mask(setting: Setting, params: Params, classes: Sequence[int]) -> Params:
    """Return the weights with the classes' biases of the last layer so low that no image is given to them."""
    bias = params[last_bias(setting)].clone()
    bias[list(classes)] = MASK
    return {**params, last_bias(setting): bias}


def last_bias(setting: Setting) -> str:
    """Return the name of the last layer's bias."""
    return trainable_names(setting.build())[-1]


def fine_tune(
    setting: Setting, params: Params, samples: SampleSet, *, learning_rate: float, epochs: int, seed: int
) -> Iterator[Params]:
    """Yield the weights after each epoch of plain training at a constant rate, without codes.

    Args:
        setting: gives network, momentum, weight decay and device.
        params: to start from; not changed.
        samples: to train on.
        learning_rate: of SGD.
        epochs: over `samples`.
        seed: of their order.
    """
    model = setting.build().to(setting.device)
    load_params(model, params)
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=learning_rate,
        momentum=setting.recipe.momentum,
        weight_decay=setting.recipe.weight_decay,
    )
    for epoch in range(epochs):
        order = seeding.generator(seed, "fine-tuning", epoch)
        for images, labels in samples.batches(BATCH_SIZE, order, merge_single=True):
            logits = model(images.to(setting.device))
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(logits, labels.to(setting.device)))
            optimizer.step()
        yield state_of(model)


def some(samples: SampleSet, limit: int, seed: int) -> SampleSet:
    """Return at most `limit` of the samples, drawn by the seed."""
    order = torch.randperm(len(samples), generator=seeding.generator(seed, "some"))[:limit]
    return samples.take(np.sort(order.numpy()))
