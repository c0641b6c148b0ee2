"""Trains many small networks of one shape at once: their weights lie in stacks, and a step moves all of them.

An attack on single samples needs a hundred models that differ in nothing but their seed. One after the other
they cost minutes of overhead and little arithmetic; side by side, as batched matrix products, they cost
seconds. The arithmetic is that of `workers.preparation.training` (SGD with momentum and weight decay on the
mean cross entropy, a cosine to zero, a new order each epoch), and a member of a stack is as good a draw as a
model trained by itself, though not the same bytes.

Vocabulary. A *stack* is a mapping name -> [models, ...], the names being those of `network()`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import seeding
from workers.numerics.params import Params, state_of
from workers.preparation.recipe import TrainingRecipe

NUM_INPUTS, NUM_HIDDEN, NUM_CLASSES = 64, 128, 10


def network() -> nn.Module:
    """Return the network of every member: 64 - 128 rectifiers - 10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(NUM_INPUTS, NUM_HIDDEN), nn.ReLU(), nn.Linear(NUM_HIDDEN, NUM_CLASSES)
    )


@dataclass(frozen=True, eq=False)
class Data:
    """What a stack learns from.

    Attributes:
        images: float [n, 64].
        labels: int64 [n].
    """

    images: Tensor
    labels: Tensor

    def without(self, rows: NDArray[np.int64]) -> "Data":
        """Return the other rows, in their order."""
        kept = torch.from_numpy(np.setdiff1d(np.arange(len(self.labels)), rows))
        return Data(self.images[kept], self.labels[kept])

    def only(self, rows: NDArray[np.int64]) -> "Data":
        """Return these rows."""
        return Data(self.images[rows], self.labels[rows])


def drawn(seeds: Sequence[int]) -> Params:
    """Return untrained members, one a seed."""
    states = []
    for seed in seeds:
        with seeding.isolated(torch.device("cpu"), seed, "model"):
            states.append(state_of(network()))
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def member(stack: Params, number: int) -> Params:
    """Return one model's weights under the names of `network()`."""
    return {name: tensor[number].clone() for name, tensor in stack.items()}


def stacked(members: Sequence[Params]) -> Params:
    """Return models as a stack; the inverse of `member`."""
    return {name: torch.stack([each[name] for each in members]) for name in members[0]}


def logits(stack: Params, images: Tensor) -> Tensor:
    """Return every member's answers, [models, n, 10].

    Args:
        stack: of m members.
        images: [m, n, 64], each member's own, or [n, 64], the same for all.
    """
    num_models = len(stack["1.bias"])
    own = images.expand(num_models, *images.shape[-2:])
    hidden = torch.baddbmm(stack["1.bias"][:, None], own, stack["1.weight"].transpose(1, 2)).relu()
    return torch.baddbmm(stack["3.bias"][:, None], hidden, stack["3.weight"].transpose(1, 2))


def train(
    data: Data,
    recipe: TrainingRecipe,
    seeds: Sequence[int],
    initial: Params | None = None,
    shape: Callable[[Params, Params], Params] | None = None,
    show: Callable[[Tensor, Tensor], Tensor] | None = None,
    rows: Sequence[NDArray[np.int64]] | None = None,
) -> Params:
    """Return a stack trained by a recipe, one member a seed.

    Args:
        data: of all members; each goes through it in an order of its own.
        recipe: epochs, batch size, rate, momentum and weight decay; the rate falls along a cosine.
        seeds: of the initial values and the orders, in place of the recipe's.
        initial: a stack to start from; newly drawn if None.
        shape: (weights, gradients) -> the gradients to step along.
        show: (images [models, b, 64], labels [models, b]) -> what each member sees in their place, as codes.
        rows: of the data, those that each member learns from; all if None. In an epoch every member learns
            from as many as the member with the fewest has.
    """
    weights = {name: tensor.clone() for name, tensor in (initial or drawn(seeds)).items()}
    velocity = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    learned = [np.arange(len(data.labels))] * len(seeds) if rows is None else rows
    own = [torch.from_numpy(each) for each in learned]
    size = min(len(each) for each in own)
    starts = range(0, size, recipe.batch_size)
    num_steps, step = recipe.epochs * len(starts), 0
    for epoch in range(recipe.epochs):
        orders = torch.stack(
            [
                each[torch.randperm(len(each), generator=seeding.generator(seed, "order", epoch))[:size]]
                for each, seed in zip(own, seeds, strict=True)
            ]
        )
        for start in starts:
            batch = orders[:, start : start + recipe.batch_size]
            rate = recipe.learning_rate * (1 + np.cos(np.pi * step / num_steps)) / 2
            images, labels = data.images[batch], data.labels[batch]
            steps = gradients(weights, images if show is None else show(images, labels), labels)
            if shape is not None:
                steps = shape(weights, steps)
            for name, gradient in steps.items():
                gradient.add_(weights[name], alpha=recipe.weight_decay)
                velocity[name].mul_(recipe.momentum).add_(gradient)
                weights[name].sub_(velocity[name], alpha=rate)
            step += 1
    return weights


def gradients(stack: Params, images: Tensor, labels: Tensor) -> Params:
    """Return each member's gradient of its mean cross entropy.

    Args:
        stack: of m members.
        images: [m, b, 64].
        labels: int64 [m, b].
    """
    rows = stack["1.weight"].shape[0]
    hidden = torch.baddbmm(stack["1.bias"][:, None], images, stack["1.weight"].transpose(1, 2)).relu_()
    answers = torch.baddbmm(stack["3.bias"][:, None], hidden, stack["3.weight"].transpose(1, 2))
    wrong = answers.softmax(2)  # [models, b, 10], becomes d loss / d logits
    wrong.scatter_add_(2, labels[:, :, None], wrong.new_full((rows, labels.shape[1], 1), -1.0))
    wrong /= labels.shape[1]
    back = torch.bmm(wrong, stack["3.weight"]).mul_(hidden > 0)
    return {
        "1.weight": torch.bmm(back.transpose(1, 2), images),
        "1.bias": back.sum(1),
        "3.weight": torch.bmm(wrong.transpose(1, 2), hidden),
        "3.bias": wrong.sum(1),
    }
