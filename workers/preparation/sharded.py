"""Trains shard by shard and slice by slice, and again without some samples from where they came in: SISA.

"Machine unlearning" (Bourtoule et al., IEEE S&P 2021), sections IV and V; the words are those of `shards`. A
constituent is trained alone, from a seed of its own, and no other constituent ever sees its shard. Momentum
and the states of torch's generators go with the weights from stage to stage, and every stage starts by taking
up a checkpoint, whether it was read or is that of the stage before. So it makes no difference to a single
byte whether a training went through in one go, was killed and started again, or found most of its states
kept by an earlier one that knew samples of later slices.

What a training without forgotten samples finds:
- the final state of every constituent whose shard holds none of them (`Finished`, or kept);
- of the others, the states from before the first slice with one of them (`Slices`).
It trains the rest. With nothing found, it trains all, and gives the same.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.numerics import ensembles, seeding
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, WeightsError, check_finite
from workers.preparation import initial as initial_weights
from workers.preparation import shards
from workers.preparation.checkpoints import Checkpoint
from workers.preparation.descent import Descent
from workers.preparation.errors import TrainingError
from workers.preparation.identity import after_slices, digest_of, identity_of
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.shards import Stage
from workers.preparation.slices import Slices

Build = Callable[[], nn.Module]
Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Finished:
    """A model that this training, without some samples, gave before.

    Attributes:
        params: of what is served, on any device.
        states: each constituent's final state by name, as `names` gives them.
    """

    params: Params
    states: Sequence[str]


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a training in shards gave, and how much of it was done now.

    Attributes:
        params: of what is served, on the CPU.
        steps: of the optimizer, of the whole training.
        steps_found: of those, the ones whose outcome was found.
        num_trained: constituents that took a step now.
        seconds: of the steps done now, and of those that kept states say they took.
    """

    params: Params
    steps: int
    steps_found: int
    num_trained: int
    seconds: float


@dataclass(frozen=True, eq=False)
class _Constituent:
    """One network's part of the training: its stages, and the identity of the state after each."""

    recipe: TrainingRecipe
    stages: list[Stage]
    states: list[dict[str, str]]

    @property
    def num_steps(self) -> int:
        return sum(stage.num_steps for stage in self.stages)


def train(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    initial: Params | None = None,
    excluded: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
    slices: Slices | None = None,
    finished: Finished | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Train every constituent without the excluded rows, from the furthest state that is found.

    Args:
        build: makes one untrained constituent.
        source: the data.
        recipe: everything else that decides the outcome.
        initial: the weights that every constituent starts from, if the recipe names some.
        excluded: int64 positions, in any order.
        device: to train on.
        slices: where states are kept, and looked for; None keeps none.
        finished: an earlier outcome whose untouched constituents are taken over.
        progress: called with the share of steps that are done or found; may raise to cancel.

    Raises:
        TrainingError: as `training.train`.
        DatasetRowError: a row cannot be read.
    """
    device = torch.device(device)
    plan = _plan(build, source, recipe, excluded, device)
    known: dict[str, Params] = {}
    if finished is not None:
        known = {
            name: ensembles.constituent(finished.params, number, recipe.shards)
            for number, name in enumerate(finished.states)
        }
    report = _Report(sum(one.num_steps for one in plan), progress)
    states = []
    for one in plan:
        num_stages, state = _known(one, known, slices)
        report.found += sum(stage.num_steps for stage in one.stages[:num_stages])
        if isinstance(state, Checkpoint):
            report.seconds += state.seconds
        if num_stages < len(one.stages):
            assert state is None or isinstance(state, Checkpoint)
            states.append(_go_on(build, one, num_stages, state, initial, device, slices, report))
        else:
            assert state is not None
            states.append(_cpu(state.params if isinstance(state, Checkpoint) else state))
    report.tell()
    return Replayed(ensembles.join(states), report.steps, report.found, report.num_trained, report.seconds)


def names(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    *,
    excluded: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
) -> list[list[str]]:
    """Return the name of each constituent's state after each slice, of the training without some rows."""
    plan = _plan(build, source, recipe, excluded, torch.device(device))
    return [[digest_of(state) for state in one.states] for one in plan]


def identity(
    build: Build, source: DatasetSource, recipe: TrainingRecipe, device: torch.device | str = "cpu"
) -> dict[str, str]:
    """Return the identity of the training in shards when it leaves nothing out."""
    with seeding.isolated(torch.device("cpu"), recipe.seed, "identity"):
        return identity_of(build(), source, recipe, None, torch.device(device))


def num_steps(source: DatasetSource, recipe: TrainingRecipe, excluded: NDArray[np.int64] | None) -> int:
    """Return how many optimizer steps all constituents take together."""
    dealt = shards.deal(source.manifest, recipe, excluded)
    return sum(stage.num_steps for own in dealt for stage in shards.stages(source, own, recipe))


@dataclass
class _Report:
    """How far a training is, counted in steps."""

    steps: int
    progress: Progress | None
    found: int = 0
    done: int = 0
    num_trained: int = 0
    seconds: float = field(default=0.0)

    def tell(self) -> None:
        if self.progress is not None:
            self.progress((self.found + self.done) / self.steps if self.steps else 1.0)


def _plan(
    build: Build,
    source: DatasetSource,
    recipe: TrainingRecipe,
    excluded: NDArray[np.int64] | None,
    device: torch.device,
) -> list[_Constituent]:
    whole = identity(build, source, recipe, device)
    dealt = shards.deal(source.manifest, recipe, excluded)
    return [
        _Constituent(
            recipe=replace(
                recipe, seed=seeding.derive(recipe.seed, "constituent", number), shards=1, slices=1
            ),
            stages=shards.stages(source, own, recipe),
            states=[after_slices(whole, number, own[:end]) for end in range(1, len(own) + 1)],
        )
        for number, own in enumerate(dealt)
    ]


def _known(
    one: _Constituent, known: Mapping[str, Params], slices: Slices | None
) -> tuple[int, Checkpoint | Params | None]:
    """Return the furthest state that is known of a constituent, and how many stages it has behind it."""
    final = known.get(digest_of(one.states[-1]))
    if final is not None:
        return len(one.stages), final
    for end in range(len(one.stages), 0, -1):
        state = None if slices is None else slices.load(one.states[end - 1])
        if state is not None:
            return end, state
    return 0, None


def _go_on(
    build: Build,
    one: _Constituent,
    num_stages: int,
    state: Checkpoint | None,
    initial: Params | None,
    device: torch.device,
    slices: Slices | None,
    report: _Report,
) -> Params:
    """Train one constituent's stages from the given one to the last; return its final state."""
    is_trained = False
    with seeding.isolated(device, one.recipe.seed, "model"):
        model = build()
        initial_weights.place(model, one.recipe, initial)
        model.to(device)
        for number in range(num_stages, len(one.stages)):
            stage, started_at = one.stages[number], time.perf_counter()
            descent = _descent(model, stage, one.recipe, number, device)
            if state is not None:
                descent.resume(replace(state, num_done=0))
            if stage.num_steps:
                is_trained = True
                for _ in descent.steps():
                    report.done += 1
                    report.tell()
            elapsed = time.perf_counter() - started_at
            report.seconds += elapsed
            state = descent.checkpoint(elapsed + (state.seconds if state is not None else 0.0))
            _check(state.params)
            if slices is not None:
                slices.save(state, one.states[number])
    assert state is not None
    report.num_trained += is_trained
    return state.params


def _descent(
    model: nn.Module, stage: Stage, recipe: TrainingRecipe, number: int, device: torch.device
) -> Descent:
    """Return the steps of a stage, in an order of its own."""
    own = replace(recipe, seed=seeding.derive(recipe.seed, "slice", number), steps=max(1, stage.num_steps))
    return Descent(model, stage.samples, own, device, fall=(stage.start, stage.end))


def _check(params: Params) -> None:
    try:
        check_finite(params)
    except WeightsError as error:
        raise TrainingError(
            f"expected training to converge, it diverged ({error}); lower the recipe's learning_rate"
        ) from error


def _cpu(params: Params) -> Params:
    return {name: tensor.detach().cpu() for name, tensor in params.items()}
