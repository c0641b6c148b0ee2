"""Stochastic gradient descent on one model, that can be left after any step and taken up again.

Algorithm 1 of "One-shot machine unlearning with mnemonic code" (Yamashita, Yamamoto, Shibata; ACML 2024)
when the recipe mixes codes. The order of the samples and what is replaced follow from the recipe's seed, the
epoch and the step alone. Dropout reads torch's global generators, so their states are part of a checkpoint.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics import calling, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.codes import CodeBook
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import WeightsError, load_params, state_of
from workers.preparation.checkpoints import Checkpoint
from workers.preparation.errors import CheckpointError, TrainingError
from workers.preparation.recipe import Schedule, TrainingRecipe
from workers.preparation.update_log.recorder import Course, Recorder, Seen

_MOMENTUM = "momentum_buffer"  # SGD's own name for it


class Descent:
    """One training of one model; the model and torch's global generators are changed in place.

    Args:
        model: in its initial state, on `device`.
        samples: to train on; at least one.
        recipe: everything else that decides the outcome.
        device: where the model is.
        fall: the part of the learning rate's fall that these steps go through, as shares of the whole.
        recorder: shown each batch and what its step did; changes neither.

    Raises:
        TrainingError: the model has nothing to train, or in half precision.
    """

    def __init__(
        self,
        model: nn.Module,
        samples: SampleSet,
        recipe: TrainingRecipe,
        device: torch.device,
        fall: tuple[float, float] = (0.0, 1.0),
        recorder: Recorder | None = None,
    ) -> None:
        _check_trainable(model)
        self._recorder = recorder
        self._model = model
        self._samples = samples
        self._recipe = recipe
        self._device = device
        self._fall = fall
        self._dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
        self._codes = code_book(samples.source, recipe)
        self._optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.num_steps = num_steps(samples, recipe)
        self.num_done = 0

    def steps(self) -> Iterator[None]:
        """Go from where the training stands to its end, pausing after every step.

        Raises:
            TrainingError: the loss is not finite, or the model refuses a batch.
            DatasetRowError: a row cannot be read.
        """
        self._model.train()
        while self.num_done < self.num_steps:
            for seen in self._rest_of_epoch():
                self._step(seen)
                self.num_done += 1
                yield
                if self.num_done == self.num_steps:
                    return

    def checkpoint(self, seconds: float) -> Checkpoint:
        """Return all that the next steps depend on, copied to the CPU.

        Args:
            seconds: that the steps have taken so far.
        """
        momentum = {}
        for name, parameter in self._model.named_parameters():
            buffer = self._optimizer.state[parameter].get(_MOMENTUM)
            if buffer is not None:
                momentum[name] = buffer.detach().cpu().clone()
        generators = {"cpu": torch.default_generator.get_state()}
        if self._device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(self._device)
        params = {name: tensor.cpu() for name, tensor in state_of(self._model).items()}
        return Checkpoint(self.num_done, seconds, params, momentum, generators)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Stand where the training stood when the checkpoint was taken.

        Raises:
            CheckpointError: its tensors are not those of this training.
        """
        parameters = dict(self._model.named_parameters())
        if not 0 <= checkpoint.num_done <= self.num_steps or any(
            name not in parameters or buffer.shape != parameters[name].shape
            for name, buffer in checkpoint.momentum.items()
        ):
            raise CheckpointError(
                f"expected a checkpoint within {self.num_steps} steps of this model, got one of other steps "
                "or tensors; remove it to start anew"
            )
        try:
            load_params(self._model, checkpoint.params)
        except WeightsError as error:
            raise CheckpointError(f"the checkpoint is not one of this model: {error}") from error
        for name, buffer in checkpoint.momentum.items():
            self._optimizer.state[parameters[name]][_MOMENTUM] = buffer.to(self._device)
        torch.default_generator.set_state(checkpoint.generators["cpu"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(checkpoint.generators["cuda"], self._device)
        self.num_done = checkpoint.num_done

    def course(self) -> Course:
        """Return what the optimizer is going to do, as whoever records it must know it."""
        recipe = self._recipe
        return Course(
            rates=tuple(learning_rate(recipe, step / self.num_steps) for step in range(self.num_steps)),
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            batch_width=recipe.batch_size + 1,  # a single last sample joins the batch before it
            seed=recipe.seed,
        )

    def _rest_of_epoch(self) -> Iterator[Seen]:
        """Yield the batches of the present epoch that are still to come, codes mixed in."""
        size = self._recipe.batch_size
        epoch, done = divmod(self.num_done, num_batches(self._samples, self._recipe))
        shuffle = seeding.generator(self._recipe.seed, "order", epoch)
        mixing = seeding.generator(self._recipe.seed, "mixing", epoch)
        order: NDArray[np.int64] = torch.randperm(len(self._samples), generator=shuffle).numpy()
        for _ in range(done if self._codes is not None else 0):
            torch.rand(size, generator=mixing)  # as the batches before drew: all of them were full
        # A single last sample joins the batch before it, so what is left is never a batch on its own.
        left, start = self._samples.take(order[done * size :]), 0
        for images, labels in left.batches(size, merge_single=True):
            positions = left.positions[start : start + len(labels)]
            start += len(labels)
            is_own = np.ones(len(labels), dtype=bool)
            if self._codes is not None:
                given, images = images, self._codes.mixed(images, labels, self._recipe.code_mix, mixing)
                is_own = (given == images).flatten(1).all(1).numpy()
            yield Seen(self.num_done, positions, is_own, images, labels)

    def _step(self, seen: Seen) -> None:
        """Move the weights once."""
        start, end = self._fall
        done = start + (end - start) * self.num_done / self.num_steps
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._recipe, done)
        loss = self._loss(seen.images, seen.labels)
        if not math.isfinite(value := float(loss.detach())):
            raise TrainingError(
                f"expected training to converge, the loss of step {self.num_done + 1} of {self.num_steps} is "
                f"{value}; lower the recipe's learning_rate"
            )
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self._recorder is not None:
            images = seen.images.to(device=self._device, dtype=self._dtype)
            shown = replace(seen, images=images, labels=seen.labels.to(self._device))
            self._recorder.before(shown)
        self._optimizer.step()
        if self._recorder is not None:
            self._recorder.after(seen)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # a step that is reported or timed has ended

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy of a batch; [b, C, H, W], [b] -> []."""
        try:
            inputs = images.to(device=self._device, dtype=self._dtype)
            logits = calling.check_logits(self._model(inputs), len(images))
        except torch.OutOfMemoryError:
            raise  # says nothing about the recipe: another device, or a later time, may do
        except (ValueError, IndexError, RuntimeError, TypeError) as error:
            raise TrainingError(
                f"expected a model that classifies images of shape {list(images.shape[1:])}, "
                f"it refused a batch of {len(images)} ({error}); {_remedy(len(images))}"
            ) from error
        # On a GPU, a label past the last logit would end the process.
        if int(labels.max()) >= logits.shape[1]:
            raise TrainingError(
                f"expected labels below the model's {logits.shape[1]} outputs, got {int(labels.max())}; "
                "register the architecture with as many classes as the data set has"
            )
        return nn.functional.cross_entropy(logits, labels.to(self._device))


def num_batches(samples: SampleSet, recipe: TrainingRecipe) -> int:
    """Return how many optimizer steps one pass over the samples takes."""
    return samples.num_batches(recipe.batch_size, merge_single=True)


def num_steps(samples: SampleSet, recipe: TrainingRecipe) -> int:
    """Return how many optimizer steps a whole training takes; none without samples."""
    by_epoch = num_batches(samples, recipe)
    return recipe.epochs * by_epoch if recipe.steps is None or by_epoch == 0 else recipe.steps


def code_book(source: DatasetSource, recipe: TrainingRecipe) -> CodeBook | None:
    """Return the codes that this recipe mixes in, or None if it mixes none."""
    if recipe.code_mix == 0:
        return None
    return CodeBook(source.input_shape, normalised=source.normalisation is not None, seed=recipe.code_seed)


def learning_rate(recipe: TrainingRecipe, done: float) -> float:
    """Return the learning rate after the share `done` of all steps."""
    if recipe.schedule is Schedule.CONSTANT:
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _check_trainable(model: nn.Module) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise TrainingError("expected a model with parameters to train, got none; unfreeze some of them")
    halves = [p for p in model.parameters() if p.dtype in (torch.float16, torch.bfloat16)]
    if halves:
        raise TrainingError(
            f"expected parameters of float32 or float64, got {len(halves)} of {halves[0].dtype}, in which "
            "small steps round to nothing; train in float32 and convert the result"
        )


def _remedy(num_images: int) -> str:
    if num_images == 1:
        return "batch norm needs two samples a step: raise the recipe's batch_size, or give more data"
    return "register the architecture with arguments that suit the data set"
