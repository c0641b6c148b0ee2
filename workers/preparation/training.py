"""Trains a model from a recipe; exact retraining is this, without the forgotten samples.

On one machine, the same inputs give the same bytes; another machine, number of threads or release of torch
adds in another order.

Algorithm 1 of "One-shot machine unlearning with mnemonic code" (Yamashita, Yamamoto, Shibata; ACML 2024)
when the recipe mixes codes: each sample of each batch is replaced, with probability code_mix, by the code
of its class.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import calling, codes, metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, WeightsError, check_finite, state_of
from workers.preparation.recipe import Schedule, TrainingRecipe

Build = Callable[[], nn.Module]
Progress = Callable[[float], None]


class TrainingError(RuntimeError):
    """This recipe cannot train this model on this data; final until one of them changes."""


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        params: its state, on the CPU.
        seconds: wall time of the training steps.
        accuracy_holdout: on the holdout samples that were not excluded; None if there are none.
        steps: of the optimizer.
    """

    params: Params
    seconds: float
    accuracy_holdout: float | None
    steps: int


def train(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    excluded: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Trained:
    """Train from random initial values on the training split without the excluded rows.

    Args:
        build: makes the untrained model; its initial values follow from `recipe.seed`.
        source: the data.
        recipe: everything else that decides the outcome.
        excluded: int64 positions, in any order, that training and the accuracy leave out: all forgotten.
        device: to train on.
        progress: called after every step with the share of steps done; may raise to cancel.

    Raises:
        TrainingError: nothing is left to train on, the loss diverged, or the model refuses a batch.
        DatasetRowError: a row cannot be read.
    """
    device = torch.device(device)
    samples = remaining(source, "train", excluded)
    total = num_steps(samples, recipe)
    if total == 0:
        raise TrainingError("expected at least one training sample, got none; exclude fewer rows")
    with seeding.isolated(device, recipe.seed, "model"):
        model = build().to(device)
        started = time.perf_counter()
        for step, _ in enumerate(_steps(model, samples, recipe, device), start=1):
            if progress is not None:
                progress(step / total)
        seconds = time.perf_counter() - started

    params = {name: tensor.cpu() for name, tensor in state_of(model).items()}
    try:
        check_finite(params)
    except WeightsError as error:
        raise TrainingError(
            f"expected training to converge, it diverged ({error}); lower the recipe's learning_rate"
        ) from error
    return Trained(params, seconds, _accuracy(model, remaining(source, "holdout", excluded)), total)


def remaining(source: DatasetSource, split: str, excluded: NDArray[np.int64] | None) -> SampleSet:
    """Return the samples of a split without the excluded positions, in rising order."""
    positions = source.manifest.positions(split)
    if excluded is not None and len(excluded):
        positions = positions[~np.isin(positions, excluded)]
    return SampleSet(source, positions)


def num_steps(samples: SampleSet, recipe: TrainingRecipe) -> int:
    """Return how many optimizer steps a whole training takes."""
    return recipe.epochs * samples.num_batches(recipe.batch_size, merge_single=True)


def draw_recipe_codes(source: DatasetSource, recipe: TrainingRecipe) -> Tensor | None:
    """Return the codes that this recipe mixes in, [classes, C, H, W], or None if it mixes none."""
    if recipe.code_mix == 0:
        return None
    return codes.draw_codes(
        source.manifest.num_classes,
        source.input_shape,
        normalised=source.normalisation is not None,
        seed=recipe.code_seed,
    )


def estimate_seconds(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    excluded: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
    num_timed: int = 5,
) -> float:
    """Return about how long `train` would take: the median time of a few real steps, times their number.

    The first step is not counted: it pays for what is set up once. Reading the data is part of a step.

    Raises:
        TrainingError: as `train`.
        DatasetRowError: a row cannot be read.
    """
    device = torch.device(device)
    samples = remaining(source, "train", excluded)
    seconds: list[float] = []
    with seeding.isolated(device, recipe.seed, "model"):
        steps = _steps(build().to(device), samples, recipe, device)
        started = time.perf_counter()
        for _ in zip(range(1 + num_timed), steps, strict=False):
            now = time.perf_counter()
            seconds.append(now - started)
            started = now
    timed = seconds[1:] or seconds
    return statistics.median(timed) * num_steps(samples, recipe) if timed else 0.0


def _steps(
    model: nn.Module, samples: SampleSet, recipe: TrainingRecipe, device: torch.device
) -> Iterator[None]:
    """Train the model in place, pausing after every optimizer step."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    class_codes = draw_recipe_codes(samples.source, recipe)
    total = num_steps(samples, recipe)
    step = 0
    model.train()
    for epoch in range(recipe.epochs):
        order = seeding.generator(recipe.seed, "order", epoch)
        mixing = seeding.generator(recipe.seed, "mixing", epoch)
        for images, labels in samples.batches(recipe.batch_size, order, merge_single=True):
            if class_codes is not None:
                replaced = torch.rand(len(labels), generator=mixing) < recipe.code_mix
                images = torch.where(replaced[:, None, None, None], class_codes[labels], images)
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(recipe, step / total)
            loss = _loss(model, images, labels, device)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # a step that is reported or timed has ended
            step += 1
            yield


def _loss(model: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> Tensor:
    """Return the mean cross entropy of a batch; [b, C, H, W], [b] -> []."""
    try:
        logits = calling.check_logits(model(images.to(device)), len(images))
    except torch.OutOfMemoryError:
        raise  # says nothing about the recipe: another device, or a later time, may do
    except (ValueError, IndexError, RuntimeError, TypeError) as error:
        raise TrainingError(
            f"expected a model that classifies images of shape {list(images.shape[1:])}, "
            f"it refused a batch of {len(images)} ({error}); "
            "register the architecture with arguments that suit the data set"
        ) from error
    # On a GPU, a label past the last logit would end the process.
    if int(labels.max()) >= logits.shape[1]:
        raise TrainingError(
            f"expected labels below the model's {logits.shape[1]} outputs, got {int(labels.max())}; "
            "register the architecture with as many classes as the data set has"
        )
    return nn.functional.cross_entropy(logits, labels.to(device))


def _learning_rate(recipe: TrainingRecipe, done: float) -> float:
    """Return the learning rate after the share `done` of all steps."""
    if recipe.schedule is Schedule.CONSTANT:
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _accuracy(model: nn.Module, holdout: SampleSet) -> float | None:
    if len(holdout) == 0:
        return None
    return metrics.accuracy(*metrics.logits_of(model, state_of(model), holdout))
