"""Trains a model from a recipe; exact retraining is this, without the forgotten samples.

On one machine, the same inputs give the same bytes, however often the training was interrupted; another
machine, number of threads or release of torch adds in another order. A head is published with noise, which
follows from a key.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import ensembles, metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, WeightsError, check_finite, load_params, sha256_of, state_of
from workers.preparation import heads, sharded
from workers.preparation import initial as initial_weights
from workers.preparation.checkpoints import Checkpoint, Checkpoints
from workers.preparation.descent import Descent, code_book, num_steps
from workers.preparation.errors import TrainingError as TrainingError
from workers.preparation.identity import identity_of
from workers.preparation.recipe import HeadRecipe, TrainingRecipe
from workers.preparation.slices import Slices
from workers.preparation.update_log.recorder import Recorder

Build = Callable[[], nn.Module]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        params: its state, on the CPU.
        seconds: wall time of the training steps, those before an interruption among them.
        accuracy_holdout: on the holdout samples that were not excluded; None if there are none.
        steps: of the optimizer.
        resumed_at: steps that a checkpoint, or kept states of slices, had done already.
    """

    params: Params
    seconds: float
    accuracy_holdout: float | None
    steps: int
    resumed_at: int = 0


def train(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    initial: Params | None = None,
    excluded: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    slices: Slices | None = None,
    recorder: Recorder | None = None,
    key: bytes | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train on the training split without the excluded rows.

    Args:
        build: makes the untrained network; its initial values follow from `recipe.seed`. If the recipe has
            shards it makes one constituent, and what is trained is their ensemble.
        source: the data.
        recipe: everything else that decides the outcome.
        initial: the weights that the recipe starts from; not changed. Required by a recipe that names some,
            refused by one that draws its own.
        excluded: int64 positions, in any order, that training and the accuracy leave out: all forgotten.
        device: to train on.
        checkpoints: where to go on from, if this training was interrupted, and to keep how far it is. The
            file stays when the training ends: the caller removes it once the outcome is safe. Not for a
            recipe with shards or slices; a head is trained too fast to have one.
        slices: where such a recipe's states after each slice are kept, and taken up again.
        recorder: writes down what each batch or sample did to the weights; changes nothing in them.
        key: of the noise that a head is published with; None draws one and forgets it, so that the same
            inputs give other bytes each time. Without a head there is no such noise.
        progress: called after every step with the share of steps done; may raise to cancel.

    Raises:
        TrainingError: nothing is left to train on, the loss diverged, the weights to start from are not given
            or not those of the recipe, the model refuses a batch, or `checkpoints` or `slices` do not go with
            the recipe.
        CheckpointError: there is a checkpoint, and not one of this training.
        RecordError: the training cannot be recorded so, or there.
        DatasetRowError: a row cannot be read.
    """
    device = torch.device(device)
    samples = remaining(source, "train", excluded)
    if len(samples) == 0:
        raise TrainingError("expected at least one training sample, got none; exclude fewer rows")
    if (checkpoints if recipe.is_sharded else slices) is not None:
        raise TrainingError(
            "expected a folder of slices for a recipe with shards or slices, and a checkpoint for any other, "
            "got it the other way round; give the other"
        )
    if recorder is not None and (recipe.is_sharded or recipe.head is not None):
        raise TrainingError(
            "expected a training by descent on one network to record, got one in shards or of a head alone; "
            "leave the record out: such a model forgets exactly, or by proof, without one"
        )
    if recipe.is_sharded:
        return _train_sharded(build, source, recipe, initial, excluded, device, slices, progress)
    with seeding.isolated(device, recipe.seed, "model"):
        model = build()
        initial_weights.place(model, recipe, initial)
        if recipe.head is not None:
            return _train_head(model.to(device), samples, recipe, remaining(source, "holdout", excluded), key)
        descent = Descent(model.to(device), samples, recipe, device, recorder=recorder)
        found, identity = None, {}
        if checkpoints is not None or recorder is not None:
            identity = identity_of(model, source, recipe, excluded, device)
        if checkpoints is not None:
            found = checkpoints.load(identity)
        if recorder is not None:
            num_done = found.num_done if found else 0
            recorder.begin(model, samples.positions, descent.course(), identity, num_done)
        seconds = _descend(descent, found, checkpoints, recorder, identity, progress)

    params = {name: tensor.cpu() for name, tensor in state_of(model).items()}
    try:
        check_finite(params)
    except WeightsError as error:
        raise TrainingError(
            f"expected training to converge, it diverged ({error}); lower the recipe's learning_rate"
        ) from error
    if recorder is not None:
        recorder.complete(sha256_of(params))
    accuracy = _accuracy(model, remaining(source, "holdout", excluded))
    return Trained(params, seconds, accuracy, descent.num_steps, found.num_done if found else 0)


def remaining(source: DatasetSource, split: str, excluded: NDArray[np.int64] | None) -> SampleSet:
    """Return the samples of a split without the excluded positions, in rising order."""
    positions = source.manifest.positions(split)
    if excluded is not None and len(excluded):
        positions = positions[~np.isin(positions, excluded)]
    return SampleSet(source, positions)


def draw_recipe_codes(source: DatasetSource, recipe: TrainingRecipe) -> Tensor | None:
    """Return the codes that this recipe mixes in, [classes, C, H, W], or None if it mixes none."""
    codes = code_book(source, recipe)
    return None if codes is None else codes.of(torch.arange(source.manifest.num_classes))


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

    The first step is not counted: it pays for what is set up once. Reading the data is part of a step. From
    which weights the training starts changes no step's cost, so they need not be given.

    Raises:
        TrainingError: as `train`.
        DatasetRowError: a row cannot be read.
    """
    device = torch.device(device)
    samples = remaining(source, "train", excluded)
    if len(samples) == 0:
        return 0.0
    if recipe.head is not None:
        return _estimate_head_seconds(build, samples, recipe.head, device)
    seconds: list[float] = []
    is_sharded = recipe.is_sharded
    total = sharded.num_steps(source, recipe, excluded) if is_sharded else num_steps(samples, recipe)
    with seeding.isolated(device, recipe.seed, "model"):
        steps = Descent(build().to(device), samples, recipe, device).steps()
        started = time.perf_counter()
        for _ in zip(range(1 + num_timed), steps, strict=False):
            now = time.perf_counter()
            seconds.append(now - started)
            started = now
    return statistics.median(seconds[1:] or seconds) * total


def _train_sharded(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    initial: Params | None,
    excluded: NDArray[np.int64] | None,
    device: torch.device,
    slices: Slices | None,
    progress: Progress | None,
) -> Trained:
    replayed = sharded.train(
        build,
        source,
        recipe,
        initial=initial,
        excluded=excluded,
        device=device,
        slices=slices,
        progress=progress,
    )
    with seeding.isolated(device, recipe.seed, "model"):
        model = ensembles.combined(build, recipe.shards)
    load_params(model, replayed.params)
    accuracy = _accuracy(model.to(device), remaining(source, "holdout", excluded))
    return Trained(replayed.params, replayed.seconds, accuracy, replayed.steps, replayed.steps_found)


def _estimate_head_seconds(
    build: Build, samples: SampleSet, recipe: HeadRecipe, device: torch.device
) -> float:
    """Return how long a head takes to train on the features of an untrained network: the work is the same."""
    with seeding.isolated(device, 0, "model"):
        model = build().to(device)
    started = time.perf_counter()
    heads.train(model, state_of(model), samples, recipe)
    return time.perf_counter() - started


def _train_head(
    model: nn.Module, samples: SampleSet, recipe: TrainingRecipe, holdout: SampleSet, key: bytes | None
) -> Trained:
    """Train the last layer alone, by the part of the recipe that says how."""
    if recipe.head is None or recipe.initial is None:
        raise TrainingError(
            "expected a head to be trained on given weights, got a recipe without `initial`; "
            "start from a public network (`lethe train --from`)"
        )
    started = time.perf_counter()
    trained = heads.train(model, state_of(model), samples, recipe.head, key=key)
    seconds = time.perf_counter() - started
    accuracy = metrics.accuracy(*metrics.logits_of(model, trained.params, holdout)) if len(holdout) else None
    params = {name: tensor.cpu() for name, tensor in trained.params.items()}
    return Trained(params, seconds, accuracy, trained.num_steps)


def _descend(
    descent: Descent,
    found: Checkpoint | None,
    checkpoints: Checkpoints | None,
    recorder: Recorder | None,
    identity: dict[str, str],
    progress: Progress | None,
) -> float:
    """Train to the end, from a checkpoint if one was found, and return how many seconds all steps took."""
    earlier_seconds = 0.0
    if found is not None:
        descent.resume(found)
        earlier_seconds = found.seconds
        if progress is not None:
            progress(descent.num_done / descent.num_steps)
    started = time.perf_counter()
    for _ in descent.steps():
        if checkpoints is not None and (checkpoints.is_due() or descent.num_done == descent.num_steps):
            seconds = earlier_seconds + time.perf_counter() - started
            if recorder is not None:
                recorder.flush(descent.num_done)  # first: a checkpoint without its records is of no use
            checkpoints.save(descent.checkpoint(seconds), identity)
        if progress is not None:
            progress(descent.num_done / descent.num_steps)
    return earlier_seconds + time.perf_counter() - started


def _accuracy(model: nn.Module, holdout: SampleSet) -> float | None:
    if len(holdout) == 0:
        return None
    return metrics.accuracy(*metrics.logits_of(model, state_of(model), holdout))
