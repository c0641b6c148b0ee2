"""Ways to forget samples from a whole stack of models at once, for comparison with the registered methods.

A *way* takes what was trained (one original a seed), the rows to forget and the rows that training never had,
and returns as many forgotten models. Rates are stated, and the same for all forget sets.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks import stacks
from benchmarks.memorised_sets import Rows, Setup
from benchmarks.stacks import Data
from workers.numerics import seeding
from workers.numerics.params import Params
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.unlearning import run
from workers.unlearning.base import ForgetProblem, Kind, Method

RECIPE = TrainingRecipe(epochs=100, batch_size=32, learning_rate=0.1)
TENTH = RECIPE.epochs // 10
ASCENT_EPOCHS, ASCENT_RATE, ASCENT_SHARE = 5, 0.01, 0.05  # NegGrad+ with 0.95 on the retained samples

Forget = Callable[[Setup, Params, Sequence[int], Rows, Rows], Params]
"""(setup, originals, their seeds, rows to forget, rows never learned) -> forgotten models."""


@dataclass(frozen=True)
class Way:
    """One way.

    Attributes:
        name: as the table shows it.
        forget: does it.
    """

    name: str
    forget: Forget


def registered(method: Method) -> Way:
    """Return a method of the registry, run model by model with its defaults."""

    def forget(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
        return stacks.stacked(
            [
                run.forget(method, problem(setup, stacks.member(originals, number), seed, rows, never)).params
                for number, seed in enumerate(seeds)
            ]
        )

    return Way(method.name, forget)


def problem(setup: Setup, params: Params, seed: int, rows: Rows, never: Rows) -> ForgetProblem:
    """Return what a method is given: everything but codes and Fishers."""
    recipe = dataclasses.replace(RECIPE, seed=seed)
    gone = np.union1d(rows, never)
    return ForgetProblem(
        build=stacks.network,
        params=params,
        num_classes=stacks.NUM_CLASSES,
        kind=Kind.SAMPLES,
        forget=setup.samples(rows),
        retain=setup.samples(np.setdiff1d(np.arange(len(setup.train.labels)), gone)),
        tuning=setup.tuning,
        forgotten=setup.samples(never).positions,
        retrain=lambda excluded: train(stacks.network, setup.source, recipe, excluded=excluded).params,
        recipe=recipe.to_json(),
        seed=seed,
    )


def _nothing(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    return originals


def _tuned(recipe: TrainingRecipe, *, is_fresh: bool = False) -> Forget:
    """Train on what remains, from the originals or from new weights."""

    def forget(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
        kept = setup.train.without(np.union1d(rows, never))
        own = [seeding.derive(seed, "way") for seed in seeds]
        return stacks.train(kept, recipe, own, None if is_fresh else originals)

    return forget


def _ascended(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    """NegGrad+: 0.95 times the loss of a retained batch minus 0.05 times that of the forget set."""
    kept, gone = setup.train.without(np.union1d(rows, never)), setup.train.only(rows)
    recipe = dataclasses.replace(RECIPE, epochs=ASCENT_EPOCHS, learning_rate=ASCENT_RATE)
    own = [seeding.derive(seed, "way") for seed in seeds]
    return stacks.train(
        kept, recipe, own, originals, shape=lambda stack, gradients: _against(stack, gradients, gone)
    )


def _against(stack: Params, gradients: Params, gone: Data) -> Params:
    num_models = len(stack["1.bias"])
    images: Tensor = gone.images.expand(num_models, *gone.images.shape)
    labels = gone.labels.expand(num_models, -1)
    uphill = stacks.gradients(stack, images, labels)
    return {
        name: (1 - ASCENT_SHARE) * gradient - ASCENT_SHARE * uphill[name]
        for name, gradient in gradients.items()
    }


def _scaled(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    """Retrain shortly, then scale the last layer until held-out logits have the originals' mean size."""
    found = _tuned(_at(2.0), is_fresh=True)(setup, originals, seeds, rows, never)
    images = setup.source.images(setup.tuning.positions).flatten(1)
    scale = _size(stacks.logits(originals, images)) / _size(stacks.logits(found, images))  # [models]
    return {
        **found,
        "3.weight": found["3.weight"] * scale[:, None, None],
        "3.bias": found["3.bias"] * scale[:, None],
    }


def _size(logits: Tensor) -> Tensor:
    """Return the mean absolute value of logits [models, n, 10] centred over classes, [models]."""
    return (logits - logits.mean(2, keepdim=True)).abs().mean((1, 2))


def _at(factor: float) -> TrainingRecipe:
    """Return a tenth of the recipe, at a multiple of its rate."""
    return dataclasses.replace(RECIPE, epochs=TENTH, learning_rate=factor * RECIPE.learning_rate)


WAYS = (
    Way("nothing", _nothing),
    Way("fine-tune, rate x 2", _tuned(_at(2.0))),
    Way("NegGrad+ .95, 5 epochs", _ascended),
    Way("short retrain, scaled", _scaled),
)
