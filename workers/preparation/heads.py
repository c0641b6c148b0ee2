"""Trains a last linear layer to its minimum on frozen features, and publishes it with noise that is secret.

What a certificate of removal needs must be there from the training on: an extractor that never learned from
the data, a convex objective with one minimum, and noise that hides how near the layer is to it. The extractor
is the recipe's `initial`: that it is public, trained on none of this data, is its owner's statement, as with
every training from given weights. It runs in evaluation mode, so that nothing of it moves.

The reference that certificates speak of is `train` below, on the samples that remain: solved to within
SOLVED of the noise's deviation, then published.
"""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from workers.numerics import linear_head, softmax_regression
from workers.numerics.batches import SampleSet
from workers.numerics.head_state import SOLVED, HeadState
from workers.numerics.linear_head import HeadError, LinearHead
from workers.numerics.params import Params
from workers.numerics.softmax_regression import NotMinimisedError
from workers.preparation.errors import TrainingError
from workers.preparation.recipe import HeadRecipe

KEY_BYTES = 32
UNLIKELY = 8.0  # deviations of the noise's length
ANOTHER_MACHINE = 1e-3  # of the weight: how far rounding of the features may move the minimum


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A trained head.

    Attributes:
        state: what must be kept of it, in secret.
        params: the network with the head as published.
        num_steps: Newton steps that the training took.
    """

    state: HeadState
    params: Params
    num_steps: int


def train(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    recipe: HeadRecipe,
    *,
    key: bytes | None = None,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> TrainedHead:
    """Train the head of a network on some samples; nothing is changed in place.

    Args:
        model: gives the structure.
        params: a full state, of which all but the head is kept; on the device to work on.
        samples: to learn from; at least one.
        recipe: the objective and the noise.
        key: of the noise; None draws one from the operating system and forgets it.
        progress: told the share done; may raise to cancel.

    Raises:
        TrainingError: the network has no linear head of its own, or its minimum cannot be reached.
        DatasetRowError: a row cannot be read.
    """
    head = head_of(model, samples.source.input_shape)
    state, num_steps = _solved(model, params, samples, recipe, head, progress)
    published = state.published(key if key is not None else secrets.token_bytes(KEY_BYTES))
    return TrainedHead(state, head.placed(params, published), num_steps)


def recognise(
    model: nn.Module,
    params: Params,
    initial: Params,
    samples: SampleSet,
    recipe: HeadRecipe,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> HeadState:
    """Return the state of a network that was trained by `train` on these samples, found anew from them.

    Args:
        model: gives the structure.
        params: the trained network.
        initial: the weights that its recipe starts from.
        samples: that it learned from; at least one.
        recipe: by which its head was trained.
        progress: told the share done.

    Raises:
        TrainingError: its extractor is not the one it started from, or its head is farther from the minimum
            than noise would take it: it was not made by this recipe from these samples.
        DatasetRowError: a row cannot be read.
    """
    head = head_of(model, samples.source.input_shape)
    moved = [
        name
        for name, tensor in params.items()
        if name not in head.tensors and not torch.equal(tensor, initial[name].to(tensor))
    ]
    if moved:
        raise TrainingError(
            f"expected a head on the frozen weights that the recipe names, got another {moved[0]}; train it "
            "by `lethe train --from`, which changes the last layer alone"
        )
    state, _ = _solved(model, params, samples, recipe, head, progress)
    off = float((head.read(params) - state.weight).norm())
    rounding = ANOTHER_MACHINE + torch.finfo(params[head.weight].dtype).eps
    allowed = recipe.sigma * (math.sqrt(state.weight.numel()) + UNLIKELY)
    allowed += rounding * float(state.weight.norm())
    if off > allowed:
        raise TrainingError(
            f"expected a head within {allowed:.3g} of the minimum on its samples, got one {off:.3g} away; "
            "train it by this recipe on these samples"
        )
    return state


def head_of(model: nn.Module, input_shape: tuple[int, int, int]) -> LinearHead:
    """Return the head of a network.

    Raises:
        TrainingError: it has no linear head of its own.
    """
    try:
        return linear_head.find(model, input_shape)
    except HeadError as error:
        raise TrainingError(f"no head can be trained alone: {error}") from error


def _solved(
    model: nn.Module,
    params: Params,
    samples: SampleSet,
    recipe: HeadRecipe,
    head: LinearHead,
    progress: Callable[[float], None],
) -> tuple[HeadState, int]:
    """Return the state at the minimum, found from a weight of zero: no sample left out can be in it."""
    try:
        features = linear_head.features(model, params, samples, head, progress)
        start = torch.zeros_like(head.read(params))
        state = HeadState(
            weight=start,
            features=features,
            labels=samples.labels.to(features.device),
            positions=torch.tensor(samples.positions, device=features.device),
            l2=recipe.l2,
            sigma=recipe.sigma,
        )
        weight, num_steps = softmax_regression.minimise(state.objective, start, SOLVED * recipe.sigma)
    except (HeadError, NotMinimisedError) as error:
        raise TrainingError(f"the head cannot be trained: {error}") from error
    return state.at(weight), num_steps
