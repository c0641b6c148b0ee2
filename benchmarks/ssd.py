"""Selective synaptic dampening: what it costs, where it wins, several classes, importances, and samples.

    python -m benchmarks.ssd [--only cost,networks,numbers,importances,samples] [--small] [--strict]
        [--data FOLDER] [--device DEVICE]

Networks are trained on scikit-learn's digits, ResNet-18 among them; `--data` adds one seed of the one-shot
paper's network on MNIST (see benchmarks/setting.py for the folder). One thread, three seeds of ten classes.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from benchmarks import ssd_classes, ssd_cost, ssd_mnist, ssd_samples
from benchmarks.ssd_classes import STALE, Row
from benchmarks.ssd_digits import NUM_CLASSES

TABLES = ("cost", "networks", "numbers", "importances", "samples")
NUM_PAIRS = 7
MAX_COPIES = 4.1  # four, and the blocks in hand
MAX_RATIO = {"cpu": 40.0, "cuda": 20.0}
HEAD = (
    f"{'':<44} {'A_R mean (min)':>16} {'E_F mean (min)':>16} {'published':>10} {'seconds':>8}"
    "  E_F after one epoch of tuning"
)


@dataclass(frozen=True)
class Figure:
    """One number with its interval and goal."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    operator: str
    goal: float

    @property
    def is_met(self) -> bool:
        """Whether the value reaches its goal."""
        return self.value >= self.goal if self.operator == ">=" else self.value <= self.goal

    def __str__(self) -> str:
        return (
            f"figure {self.name} value={self.value:.4g} low={self.low:.4g} high={self.high:.4g} "
            f"unit={self.unit} goal={self.operator} {self.goal:g}"
        )


def cost(asked: argparse.Namespace) -> Iterator[Figure]:
    """Measure time and memory of a request with a stated strength."""
    device = torch.device(asked.device).type
    print(
        "\nResNet-18, 11 million weights, stated strength: seconds, times a copy of the weights, copies held"
    )
    for num_classes in (1, 3):
        for is_read in (False, True):
            found = ssd_cost.measure(num_classes, is_read=is_read, num_pairs=NUM_PAIRS, device=asked.device)
            ratios, place = sorted(found.ratios), "files" if is_read else "memory"
            middle = statistics.median(ratios)
            print(
                f"{num_classes} classes, Fishers from {place:<7} {found.seconds[0]:>7.3f} s {middle:>7.1f} "
                f"({ratios[0]:.1f} to {ratios[-1]:.1f}) {found.copies:>6.2f}"
            )
            name = f"ssd_{num_classes}_from_{place}"
            if not is_read and num_classes == 1:
                yield Figure(f"{name}_time", middle, ratios[1], ratios[-2], "copies", "<=", MAX_RATIO[device])
            copies = found.copies
            yield Figure(f"{name}_memory", copies, copies, copies, "copies", "<=", MAX_COPIES)


def networks(asked: argparse.Namespace) -> Iterator[Figure]:
    """Compare dampening with one-shot, network by network."""
    print(f"\nOne class of ten\n{HEAD}")
    seeds, labels = range(1 if asked.small else 3), range(2 if asked.small else NUM_CLASSES)
    for name in ("mlp",) if asked.small else ("mlp", "sigmoid_mlp", "small_cnn", "resnet18"):
        own = range(1) if name == "resnet18" else seeds
        found = [*ssd_classes.by_network(name, own, labels, asked.device)]
        for way in dict.fromkeys(row.way for row in found):
            yield from _printed(name, way, [row for row in found if row.way == way], has_goal=way == "ssd")
    if asked.data is not None:
        found = [*ssd_mnist.rows(asked.data, labels, asked.device)]
        for way in dict.fromkeys(row.way for row in found):
            yield from _printed("mnist", way, [row for row in found if row.way == way], has_goal=way == "ssd")


def numbers(asked: argparse.Namespace) -> Iterator[Figure]:
    """Compare ways to forget one, two and three classes."""
    print(f"\nSeveral classes\n{HEAD}")
    for name in ("mlp",) if asked.small else ("mlp", "sigmoid_mlp", "small_cnn"):
        found = [*ssd_classes.by_number(name, range(1 if asked.small else 3), (1, 2, 3), asked.device)]
        for size in (1, 2, 3):
            of_size = [row for number, row in found if number == size]
            for way in dict.fromkeys(row.way for row in of_size):
                own = [row for row in of_size if row.way == way]
                yield from _printed(name, f"{size} {way}", own, has_goal=way == STALE)


def importances(asked: argparse.Namespace) -> Iterator[Figure]:
    """Compare what is measured of each weight."""
    print(f"\nOne class, by importance\n{HEAD}")
    seeds, labels = range(1), range(2 if asked.small else NUM_CLASSES)
    for name in ("mlp",) if asked.small else ("mlp", "small_cnn"):
        found = [*ssd_classes.by_importance(name, seeds, labels, asked.device)]
        for way in dict.fromkeys(row.way for row in found):
            yield from _printed(name, way, [row for row in found if row.way == way], has_goal=False)


def samples(asked: argparse.Namespace) -> Iterator[Figure]:
    """Compare sample requests with retrained models."""
    print(f"\n{'Samples':<44} {'test':>6} {'recalled':>9} {'distance':>9} {'passed':>7}")
    num_seeds, num_retrained = (1, 2) if asked.small else (3, 3)
    for name in ("mlp",) if asked.small else ("mlp", "small_cnn"):
        found = [*ssd_samples.rows(name, range(num_seeds), num_retrained, asked.device)]
        for group in dict.fromkeys(row.group for row in found):
            for way in dict.fromkeys(row.way for row in found):
                own = [row for row in found if (row.group, row.way) == (group, way)]
                accuracy, recalled, distance, passed = ssd_samples.mean(own)
                print(
                    f"{name:<12} {group:<13} {way:<17} {100 * accuracy:>6.1f} {100 * recalled:>9.1f} "
                    f"{distance:>9.3f} {passed:>7.0%}"
                )
    yield from ()


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval by Student's t."""
    middle = float(np.mean(values))
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return middle, middle - half, middle + half


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(TABLES), help="tables, parted by commas")
    parser.add_argument("--small", action="store_true", help="one network, one seed, two classes")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--data", type=Path, help="folder of MNIST; see benchmarks/setting.py")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    makers: dict[str, Callable[[argparse.Namespace], Iterator[Figure]]] = {
        "cost": cost,
        "networks": networks,
        "numbers": numbers,
        "importances": importances,
        "samples": samples,
    }
    unknown = {*asked.only.split(",")} - {*TABLES}
    if unknown:
        parser.error(f"expected tables among {', '.join(TABLES)}, got {', '.join(sorted(unknown))}")
    figures = [figure for name in asked.only.split(",") for figure in makers[name](asked)]
    print()
    for figure in figures:
        print(figure)
    sys.exit(1 if asked.strict and not all(figure.is_met for figure in figures) else 0)


def _printed(network: str, way: str, found: Sequence[Row], *, has_goal: bool) -> Iterator[Figure]:
    """Print a line of a table, and yield its figures if it has goals."""
    retained, error = [row.retained for row in found], [row.error for row in found]
    relapses = [f"{100 * np.mean(column):.1f}" for column in zip(*(r.relapses for r in found), strict=True)]
    print(
        f"{network + ', ' + way:<44} {100 * np.mean(retained):>8.1f} ({100 * min(retained):>5.1f}) "
        f"{100 * np.mean(error):>8.1f} ({100 * min(error):>5.1f}) "
        f"{sum(row.has_passed for row in found):>4} of {len(found):<2} "
        f"{statistics.median(row.seconds for row in found):>8.2f}  {', '.join(relapses)}",
        flush=True,
    )
    if has_goal and len(found) > 1:
        name = f"ssd_{network}" + ("" if way == "ssd" else f"_{way[0]}_classes")
        yield Figure(f"{name}_error", *interval(error), "share", ">=", 0.95)
        yield Figure(f"{name}_published", *interval([float(r.has_passed) for r in found]), "share", ">=", 0.9)


if __name__ == "__main__":
    main()
