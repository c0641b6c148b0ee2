"""Figures 4 and 5 of the one-shot paper: one code a class for the Fisher, against n training images a class.

    python -m benchmarks.fisher_figures --data FOLDER --cache FOLDER --out FOLDER [--dataset mnist]
        [--epochs 20] [--device cpu] [--small] [--strict]

Figure 4: A_R and E_F of the paper's rule on a network trained without codes, when its Fisher comes from n
images a class; dotted, on a network trained with codes, from the codes. Figure 5: the L2 distance of these
Fishers to the one from all training images of the same network, divided by the number of parameters.

That distance alone cannot tell a good estimate from a small one: no Fisher at all, zeros, is as far away as
the Fisher from all images is large. So zeros are drawn beside it, and the cosine, which does not know size.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks import paper_rule, peers
from benchmarks.cache import Cache
from benchmarks.fisher_plots import ALL, CODES, ZEROS, Point, draw_distance, draw_forgetting, values_of
from benchmarks.outcomes import answers, interval
from benchmarks.setting import DATASETS, NUM_CLASSES, Setting, open_setting
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import Params
from workers.preparation.training import draw_recipe_codes

NUM_SEEDS = 3
SIZES = (1, 10, 100, 1000)
BATCH_SIZE = 64
TITLES = {"mnist": "MNIST, 784-1000-10", "cifar10": "CIFAR-10, ResNet-18"}


def points(setting: Setting, cache: Cache, seeds: range, labels: range) -> Iterator[Point]:
    """Yield every point, both networks of each seed."""
    for seed in seeds:
        for with_codes in (False, True):
            params, _ = cache.model(seed, with_codes=with_codes)
            oracle = of_images(setting, params, None, seed)
            fishers = {ALL: oracle}
            if with_codes:
                fishers = {CODES: of_codes(setting, params, seed)}
            else:
                fishers |= {str(size): of_images(setting, params, size, seed) for size in SIZES}
            for label in labels:
                zeros = {name: torch.zeros_like(tensor) for name, tensor in oracle[label].items()}
                yield Point(ZEROS, with_codes, distance(zeros, oracle[label]), np.nan, np.nan, np.nan)
                for kind, by_class in fishers.items():
                    moved, _ = paper_rule.forget(setting, params, by_class, (label,), seed)
                    right, truth = answers(setting, moved)
                    yield Point(
                        kind,
                        with_codes,
                        distance(by_class[label], oracle[label]),
                        cosine(by_class[label], oracle[label]),
                        float(right[truth != label].mean()),
                        1 - float(right[truth == label].mean()),
                    )


def of_images(setting: Setting, params: Params, size: int | None, seed: int) -> dict[int, Params]:
    """Return each class's mean Fisher over `size` of its training images, or over all; draws are nested."""
    model = setting.build()
    fishers = {}
    for label in range(NUM_CLASSES):
        members = setting.samples("train", (label,))
        drawn = members if size is None else peers.some(members, size, seed)
        fishers[label] = diagonal_fisher(model, params, drawn.batches(BATCH_SIZE))
    return fishers


def of_codes(setting: Setting, params: Params, seed: int) -> dict[int, Params]:
    """Return each class's Fisher from its code."""
    codes = draw_recipe_codes(setting.source, setting.recipe_of(seed))
    assert codes is not None
    model = setting.build()
    return {
        label: diagonal_fisher(model, params, [(codes[[label]], torch.tensor([label]))])
        for label in range(NUM_CLASSES)
    }


def distance(one: Params, other: Params) -> float:
    """Return the L2 norm of the difference over the number of parameters."""
    squares = sum(float((one[name].double() - other[name].double()).square().sum()) for name in other)
    return float(np.sqrt(squares)) / sum(tensor.numel() for tensor in other.values())


def cosine(one: Params, other: Params) -> float:
    """Return the cosine of the angle between two Fishers."""
    product = sum(float((one[name].double() * other[name].double()).sum()) for name in other)
    norms = (sum(float(each[name].double().square().sum()) for name in other) for each in (one, other))
    return product / float(np.sqrt(np.prod(list(norms))))


def print_table(found: Sequence[Point]) -> None:
    """Print mean and 95 % interval of every measure."""
    print(f"{'Fisher from':<22}{'A_R %':>22}{'E_F %':>22}{'lowest E_F':>12}{'distance':>12}{'cosine':>9}")
    for kind, with_codes in dict.fromkeys((each.kind, each.with_codes) for each in found):
        columns = {
            key: values_of(found, kind, with_codes, key)
            for key in ("retained", "error", "distance", "cosine")
        }
        cells = [""] * 3
        if kind != ZEROS:
            spreads = [interval(columns[key]) for key in ("retained", "error")]
            cells = [f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]" for mean, low, high in spreads]
            cells.append(f"{100 * min(columns['error']):.1f}")
        print(
            f"{kind + (', with codes' if with_codes else ''):<22}{cells[0]:>22}{cells[1]:>22}{cells[2]:>12}"
            f"{np.mean(columns['distance']):>12.2e}{np.mean(columns['cosine']):>9.3f}"
        )


def main() -> None:
    """Measure, print the table, draw both figures, print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the images; see benchmarks/setting.py"
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder for trained weights")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    parser.add_argument("--dataset", choices=DATASETS, default="mnist")
    parser.add_argument("--epochs", type=int, default=20, help="of every training (the paper: 200)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="one seed, two classes")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    setting = open_setting(asked.dataset, asked.data, asked.epochs, asked.device)
    rates = Cache(asked.cache, setting).choose_learning_rate()
    setting = setting.with_learning_rate(next(iter(rates)))
    seeds, labels = range(1 if asked.small else NUM_SEEDS), range(2 if asked.small else NUM_CLASSES)

    found = list(points(setting, Cache(asked.cache, setting), seeds, labels))
    print_table(found)
    sizes = tuple(map(str, SIZES))
    draw_forgetting(
        found, sizes, TITLES[asked.dataset], asked.out / f"one-shot-{asked.dataset}-forgetting.png"
    )
    draw_distance(found, sizes, TITLES[asked.dataset], asked.out / f"one-shot-{asked.dataset}-distance.png")
    is_missed = False
    for kind, with_codes, name in ((CODES, True, "code"), (ALL, False, "all_images")):
        mean, low, high = interval(values_of(found, kind, with_codes, "error"))
        is_missed |= mean < 0.99
        print(
            f"figure {asked.dataset}_error_by_{name} value={mean:.4f} low={low:.4f} high={high:.4f} "
            "unit=share goal=>= 0.99"
        )
    sys.exit(1 if asked.strict and is_missed else 0)


if __name__ == "__main__":
    main()
