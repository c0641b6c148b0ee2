"""What training in shards and slices costs in accuracy, and what it saves when something is forgotten.

    python -m benchmarks.sisa [--small] [--strict]

For each number of shards S and of slices R, a small convolutional network is trained on scikit-learn's digits
by the same recipe, and its test accuracy is held against that of one network trained on everything. Then one
trained for fewer epochs, which changes no ratio, forgets, each request on its own and from the same states:
one sample, a random hundredth of the samples, a class. Each is timed in turn with the same recipe's training
from scratch without these samples, and checked to give the same bytes. The cost is the ratio of the pairs'
processor times, on one thread; beside it stands the share of the optimizer steps. With `states kept` it
starts from every slice, with `weights only` from what a worker has of weights uploaded without slices.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import nn

from workers.numerics import architectures, ensembles, metrics, params, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.datasets.registry import open_source
from workers.preparation import sharded
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.sharded import Finished, Replayed
from workers.preparation.slices import Slices

Parts = tuple[int, int]
"""Shards and slices."""

WHOLE = (1, 1)
PARTS = ((1, 1), (1, 4), (2, 1), (2, 4), (5, 1), (5, 4))
PARTS_SMALL = ((1, 1), (2, 1), (5, 4))
REQUESTS = ("one sample", "1 % at random", "a class")
STATES = ("states kept", "weights only")
CELLS = (*((request, STATES[0]) for request in REQUESTS), (REQUESTS[0], STATES[1]))
EPOCHS, EPOCHS_TIMED = 20, 5


@dataclass(frozen=True)
class Cost:
    """One request, forgotten once.

    Attributes:
        parts: shards and slices.
        request: one of REQUESTS.
        states: one of STATES.
        ratio: of the time it took to that of training from scratch.
        steps: of the optimizer, as a share of training from scratch.
    """

    parts: Parts
    request: str
    states: str
    ratio: float
    steps: float


def build() -> nn.Module:
    """Return one untrained constituent."""
    return architectures.small_cnn()


def recipe_of(parts: Parts, seed: int, epochs: int) -> TrainingRecipe:
    """Return the recipe in so many shards and slices."""
    num_shards, num_slices = parts
    return TrainingRecipe(
        epochs=epochs, batch_size=32, learning_rate=0.1, seed=seed, shards=num_shards, slices=num_slices
    )


def accuracy_of(source: DatasetSource, parts: Parts, trained: Replayed) -> float:
    """Return the accuracy of what is served, on the test split."""
    test = SampleSet(source, source.manifest.positions("test"))
    model = ensembles.combined(build, parts[0])
    return metrics.accuracy(*metrics.logits_of(model, trained.params, test))


def targets(source: DatasetSource, seed: int, request: str) -> NDArray[np.int64]:
    """Return the training samples of a request."""
    rows = source.manifest.positions("train")
    if request == "a class":
        return rows[source.manifest.labels[rows] == seed % 10]
    order = torch.randperm(len(rows), generator=seeding.generator(seed, request)).numpy()
    return rows[order[: 1 if request == "one sample" else len(rows) // 100]]


def costs(source: DatasetSource, parts: Parts, seed: int) -> Iterator[Cost]:
    """Yield what each request costs, timed in turn with training from scratch."""
    recipe = recipe_of(parts, seed, EPOCHS_TIMED)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        trained = sharded.train(build, source, recipe, slices=Slices(kept))
        finished = Finished(trained.params, [own[-1] for own in sharded.names(build, source, recipe)])
        states_before = {*kept.glob("*/*")}
        for request, states in CELLS:
            excluded = targets(source, seed, request)
            train = partial(sharded.train, build, source, recipe, excluded=excluded)
            scratch, whole = timed(train)
            slices = Slices(kept) if states == "states kept" else None
            seconds, replayed = timed(partial(train, slices=slices, finished=finished))
            for written in {*kept.glob("*/*")} - states_before:
                written.unlink()  # the next request starts from the same states
            if params.to_bytes(replayed.params) != params.to_bytes(whole.params):
                raise AssertionError(f"{request} with {states}: other bytes than training from scratch")
            done = replayed.steps - replayed.steps_found
            yield Cost(parts, request, states, seconds / scratch, done / replayed.steps)


def timed(act: Callable[[], Replayed]) -> tuple[float, Replayed]:
    """Return the processor seconds that something took, and what it gave."""
    started = time.process_time()
    found = act()
    return time.process_time() - started, found


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return mean and 95 % interval of the mean by Student's t; without width for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, mean, mean
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def measure(parts: Sequence[Parts], num_seeds: int) -> tuple[dict[Parts, list[float]], list[Cost]]:
    """Return the test accuracies by shards and slices, and all costs."""
    source = open_source({"source": "digits"})
    accuracies: dict[Parts, list[float]] = {each: [] for each in parts}
    found: list[Cost] = []
    for seed in range(num_seeds):
        for each in parts:
            trained = sharded.train(build, source, recipe_of(each, seed, EPOCHS))
            accuracies[each].append(accuracy_of(source, each, trained))
            if each != WHOLE:
                found += costs(source, each, seed)
    return accuracies, found


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one seed, two ways to part the data")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    parts = PARTS_SMALL if asked.small else PARTS
    accuracies, found = measure(parts, 1 if asked.small else 5)
    print_tables(accuracies, found)
    sys.exit(1 if report(accuracies, found) and asked.strict else 0)


def print_tables(accuracies: dict[Parts, list[float]], found: list[Cost]) -> None:
    """Print accuracies, then times and steps of each request as shares of training from scratch."""
    print(f"{'S':>2} {'R':>2} {'test accuracy, %':>24} {'against S = R = 1, points':>28}")
    whole = accuracies[WHOLE]
    for each, values in accuracies.items():
        lost = [100 * (one - other) for one, other in zip(values, whole, strict=True)]
        mean, low, high = interval([100 * value for value in values])
        print(
            f"{each[0]:>2} {each[1]:>2} {mean:>10.1f} [{low:5.1f}, {high:5.1f}] "
            f"{interval(lost)[0]:>+10.1f} [{interval(lost)[1]:+.1f}, {interval(lost)[2]:+.1f}]"
        )
    print("\ncost of forgetting, share of training from scratch: median time (steps)")
    heads = [f"{request}, {states}" for request, states in CELLS]
    print(f"{'S':>2} {'R':>2} " + " ".join(f"{head:>26}" for head in heads))
    for each in dict.fromkeys(one.parts for one in found):
        cells = []
        for request, states in CELLS:
            own = _of(found, each, request, states)
            ratio, steps = np.median([one.ratio for one in own]), np.mean([one.steps for one in own])
            cells.append(f"{ratio:.2f} ({steps:.2f})")
        print(f"{each[0]:>2} {each[1]:>2} " + " ".join(f"{cell:>26}" for cell in cells))


def report(accuracies: dict[Parts, list[float]], found: list[Cost]) -> bool:
    """Print one line a figure; return whether a goal was missed."""
    is_missed = False
    for (num_shards, num_slices), values in accuracies.items():
        if (num_shards, num_slices) == WHOLE:
            continue
        lost = [100 * (one - other) for one, other in zip(accuracies[WHOLE], values, strict=True)]
        is_missed |= _figure(f"sisa_{num_shards}_{num_slices}_accuracy_lost", lost, "points", 3.0)
        for request, goal in (("one sample", 1.15 / num_shards), ("a class", 1.15)):
            ratios = [one.ratio for one in _of(found, (num_shards, num_slices), request, "states kept")]
            name = request.replace(" ", "_")
            is_missed |= _figure(f"sisa_{num_shards}_{num_slices}_{name}_cost", ratios, "ratio", goal)
    return is_missed


def _figure(name: str, values: list[float], unit: str, goal: float) -> bool:
    value, low, high = interval(values)
    print(f"figure {name} value={value:.4f} low={low:.4f} high={high:.4f} unit={unit} goal=<= {goal:.4g}")
    return value > goal


def _of(found: list[Cost], parts: Parts, request: str, states: str) -> list[Cost]:
    return [one for one in found if (one.parts, one.request, one.states) == (parts, request, states)]


if __name__ == "__main__":
    main()
