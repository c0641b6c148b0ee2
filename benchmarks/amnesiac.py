"""The MNIST rows of "Per-sample amnesiac unlearning" (Marincione; 2024), Table 1, on Lethe's training.

A small network learns the digits with only a few threes, as the code that the paper builds on does, so that
few batches hold one; class 3 is then forgotten by subtraction, without and with training on the rest. Printed
are `paper | ours`, each as `forgotten/rest`: accuracies on test images.

Departures: SGD with momentum in place of Adam; by default fewer images and a shorter training on the rest
(both are options); our records hold what a gradient did to the final weights (`tail`), where the paper stores
raw gradients (`Ours`) or the step's change (`Original`, `Layer`: here `step`). Rows without the paper's
figures have no counterpart there. Table 3, ResNet-18, is left out: 1.1 million weights of each of 12,000
images are 53 GB, and its training on a processor takes hours.
Reads `MNIST/raw` under the folder given by --data (`benchmarks/setting.py`).
"""

import argparse
import hashlib
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.setting import open_setting
from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, to_bytes
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.preparation.update_log.reading import open_log
from workers.preparation.update_log.recorder import Recorder
from workers.preparation.update_log.recording import Account, Granularity, Layout, Recording
from workers.unlearning import registry, run
from workers.unlearning.base import ForgetProblem, Kind

LABEL = 3
Pair = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One row: a name, what is recorded, and the paper's three columns if it has them.

    Attributes:
        name: as the paper's.
        recording: of the training.
        published: forgotten and rest after training, after subtraction, after training on the rest.
    """

    name: str
    recording: Recording
    published: tuple[Pair, Pair, Pair] | None = None


def _ours(fraction: float, *published: Pair) -> Row:
    trio = (published[0], published[1], published[2])
    return Row(f"Ours, p = {fraction:g}", Recording(fraction=fraction), trio)


BATCH, STEP = Granularity.BATCH, Account.STEP
ROWS = (
    Row("Original", Recording(BATCH, STEP), ((0.67, 0.98), (0.00, 0.83), (0.00, 0.98))),
    Row("Original, tail", Recording(BATCH)),
    Row("Layer, p = .1", Recording(BATCH, STEP, 0.1), ((0.56, 0.98), (0.07, 0.98), (0.02, 0.98))),
    Row("Ours, p = 1", Recording()),
    _ours(0.1, (0.64, 0.98), (0.00, 0.84), (0.02, 0.98)),
    _ours(0.075, (0.60, 0.98), (0.02, 0.94), (0.03, 0.98)),
    _ours(0.05, (0.68, 0.98), (0.11, 0.96), (0.06, 0.98)),
    _ours(0.01, (0.61, 0.98), (0.41, 0.98), (0.16, 0.98)),
)


def small_cnn() -> nn.Module:
    """Return a small convolutional network without batch norm; the paper does not say which it has."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, 10),
    )


@dataclass(frozen=True, eq=False)
class Bench:
    """What all rows share.

    Attributes:
        source: the data.
        recipe: of every training.
        learned: positions that are trained on.
        budget: of the training on the rest, as a share of the training.
    """

    source: DatasetSource
    recipe: TrainingRecipe
    learned: NDArray[np.int64]
    budget: float

    def score(self, params: Params) -> Pair:
        """Return the accuracy on test images of the class, and on all others."""
        test = self.source.manifest.positions("test")
        is_own = self.source.manifest.labels[test] == LABEL
        own, rest = (
            metrics.accuracy(*metrics.logits_of(small_cnn(), params, SampleSet(self.source, rows)))
            for rows in (test[is_own], test[~is_own])
        )
        return own, rest


def measure(bench: Bench, recording: Recording) -> tuple[tuple[Pair, Pair, Pair], int, float]:
    """Train with a record, subtract, train on the rest; return scores, bytes of the log, CPU seconds."""
    started = time.process_time()
    sizes: list[Layout] = []
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            small_cnn,
            bench.source,
            bench.recipe,
            excluded=np.setdiff1d(bench.source.manifest.positions("train"), bench.learned),
            recorder=Recorder(Path(folder), recording, sizes.append),
        )
        weights = hashlib.sha256(to_bytes(trained.params)).hexdigest()
        log = open_log(Path(folder), weights, np.empty(0, dtype=np.int64))
        assert log is not None
        is_three = bench.source.manifest.labels[bench.learned] == LABEL
        problem = ForgetProblem(
            build=small_cnn,
            params=trained.params,
            num_classes=10,
            kind=Kind.CLASS,
            classes=(LABEL,),
            forget=SampleSet(bench.source, bench.learned[is_three]),
            retain=SampleSet(bench.source, bench.learned[~is_three]),
            tuning=SampleSet(bench.source, bench.source.manifest.positions("holdout")),
            recipe=bench.recipe.to_json(),
            update_log=log,
        )
        method = registry.discover()["amnesiac" if log.granularity == "batch" else "amnesiac_samples"]
        scores = [bench.score(trained.params)]
        for budget in (0.0, bench.budget):
            asked = method.Parameters(repair_budget=budget, repair_rate=bench.recipe.learning_rate)
            scores.append(bench.score(run.forget(method, problem, asked).params))
    seconds = time.process_time() - started
    return (scores[0], scores[1], scores[2]), sizes[0].num_bytes, seconds


def open_bench(data: Path, num_images: int, num_threes: int, epochs: int, budget: float) -> Bench:
    """Read the images and choose which are learned; the paper: all, about 100 threes, 4 epochs, 4 more."""
    source = open_setting("mnist", data, epochs).source
    train_rows = source.manifest.positions("train")
    is_three = source.manifest.labels[train_rows] == LABEL
    learned = [train_rows[~is_three][:num_images], train_rows[is_three][:num_threes]]
    recipe = TrainingRecipe(epochs=epochs, batch_size=64, learning_rate=0.02, momentum=0.9, weight_decay=0.0)
    return Bench(source, recipe, np.sort(np.concatenate(learned)), budget)


def main() -> None:
    """Measure every row, and print the table and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of images; see benchmarks/setting.py"
    )
    parser.add_argument("--images", type=int, default=12_000, help="training images of the other classes")
    parser.add_argument("--threes", type=int, default=100, help="training images of class 3")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--budget", type=float, default=0.25, help="of training on the rest (the paper: 1)")
    parser.add_argument("--small", action="store_true", help="three rows, fewer images, one epoch")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = ROWS[:2] + ROWS[4:5] if asked.small else ROWS
    num_images, epochs = (min(1500, asked.images), 1) if asked.small else (asked.images, asked.epochs)
    bench = open_bench(asked.data, num_images, asked.threes, epochs, asked.budget)

    print(f"class {LABEL}: {asked.threes} of {len(bench.learned)} images; {epochs} epochs; forgotten/rest")
    print(
        f"{'':<16}{'after training':>26}{'subtracted':>26}{'and trained on':>26}{'log, MB':>10}{'cpu s':>7}"
    )
    is_missed = False
    for row in rows:
        scores, num_bytes, seconds = measure(bench, row.recording)
        published = row.published or (None, None, None)
        cells = "".join(
            f"{_pair(theirs):>12} | {_pair(own):<11}" for theirs, own in zip(published, scores, strict=True)
        )
        print(f"{row.name:<16}{cells}{num_bytes / 1e6:>10.1f}{seconds:>7.0f}", flush=True)
        if row.published is not None:
            is_missed |= _print_figures(row.name, scores)
    sys.exit(1 if asked.strict and is_missed else 0)


def _print_figures(name: str, scores: tuple[Pair, Pair, Pair]) -> bool:
    """Print a row's figures; return whether a goal was missed."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower())
    (before, _), (own, _), (repaired, rest) = scores
    print(
        f"figure amnesiac_{word}_subtracted value={own:.4f} low=nan high=nan unit=share goal=<= {before:.4f}"
    )
    print(f"figure amnesiac_{word}_repaired value={repaired:.4f} low=nan high=nan unit=share goal=<= 0.2")
    print(f"figure amnesiac_{word}_rest value={rest:.4f} low=nan high=nan unit=share goal=>= 0.9")
    return own > before or repaired > 0.2 or rest < 0.9


def _pair(scores: Pair | None) -> str:
    return "-" if scores is None else f"{scores[0]:.2f}/{scores[1]:.2f}"


if __name__ == "__main__":
    main()
