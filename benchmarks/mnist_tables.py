"""Tables 2 and 3 of the one-shot paper: how well one class is forgotten; every class here, pairs and triples.

    python -m benchmarks.mnist_tables --data FOLDER --cache FOLDER [--dataset mnist] [--epochs 20]
        [--device cpu] [--again METHOD] [--retrain-seeds 3] [--small] [--strict]

For each seed a network is trained with mnemonic codes, and each class, some pairs and some triples are
forgotten by every approximate method of the registry, by the paper's own rule, by fine-tuning on what
remains and by a mask; beside them stands the model retrained without the classes. Trained weights and
outcomes are kept in the cache folder: a killed run goes on where it was, and a method whose version changed
is measured again. The paper forgets class 0 alone and trains 200 epochs.
"""

import argparse
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import forgetting, tables
from benchmarks.cache import Cache
from benchmarks.forgetting import Way
from benchmarks.outcomes import Row, measure
from benchmarks.setting import DATASETS, Setting, open_setting
from workers.preparation.prepared import Prepared, prepare
from workers.unlearning.errors import UnlearningError

NUM_SEEDS = 3
SIZES = (1, 2, 3)
PUBLISHED = {  # A_R and E_F of class 0: Tables 2 and 3
    "mnist": {"one_shot": (0.959, 1.0), "ssd": (0.969, 0.931)},
    "cifar10": {"one_shot": (0.944, 1.0), "ssd": (0.942, 1.0)},
}


def todo(
    setting: Setting, cache: Cache, *, is_small: bool, num_retrained: int
) -> Iterator[tuple[int, tuple[int, ...], Way]]:
    """Yield seed, classes and way of every outcome, those that need another training last."""
    seeds = range(1 if is_small else NUM_SEEDS)
    for size in SIZES:
        for seed in seeds:
            base, _ = cache.model(seed)
            made = functools.cache(lambda seed=seed: prepared(setting, cache, seed))
            for classes in forgetting.requests(size, seed, is_small=is_small):
                for way in forgetting.ways(setting, base, made, classes, seed):
                    yield seed, classes, way
    for size in SIZES:
        for seed in seeds[:num_retrained]:
            groups = [*forgetting.requests(size, seed, is_small=is_small)]
            for classes in groups if size == 1 else groups[:1]:
                yield seed, classes, forgetting.retrained(cache, classes, seed)


def prepared(setting: Setting, cache: Cache, seed: int) -> Prepared:
    """Prepare a seed's model and say what that cost."""
    base, trained_seconds = cache.model(seed)
    started_at = time.perf_counter()
    made = prepare(setting.build, base, setting.source, setting.recipe_of(seed))
    seconds = time.perf_counter() - started_at
    print(
        f"seed {seed}: trained in {trained_seconds:.0f} s, prepared in {seconds:.1f} s, "
        f"holdout {made.baseline.accuracy_holdout:.4f}, codes {made.baseline.accuracy_codes:.2f}",
        file=sys.stderr,
    )
    return made


def outcomes(setting: Setting, cache: Cache, asked: argparse.Namespace) -> list[Row]:
    """Return every outcome; those that the cache folder does not hold are measured and added to it."""
    file = cache.folder / f"{setting.name}-{setting.recipe.epochs}-epochs.jsonl"
    known = {identity(row): row for row in read(file) if row.method not in asked.again}
    found = []
    for seed, classes, way in todo(setting, cache, is_small=asked.small, num_retrained=asked.retrain_seeds):
        key = (way.name, way.version, seed, classes)
        if key not in known:
            try:
                params, seconds = way.forget()
            except UnlearningError as error:
                print(f"{way.name} seed {seed} classes {classes}: {error.code}", file=sys.stderr)
                continue
            base, _ = cache.model(seed)
            known[key] = measure(
                setting,
                way,
                seed,
                classes,
                base,
                params,
                seconds,
                asked.relapse if way.has_relapse else 0,
            )
            with file.open("a") as opened:
                opened.write(json.dumps(dataclasses.asdict(known[key])) + "\n")
        found.append(known[key])
    return found


def identity(row: Row) -> tuple[str, str, int, tuple[int, ...]]:
    """Return what makes two rows the same measurement."""
    return row.method, row.version, row.seed, row.classes


def read(file: Path) -> list[Row]:
    """Return the rows of an earlier run, none if there was none."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return [Row(**{**row, "classes": tuple(row["classes"])}) for row in rows]


def main() -> None:
    """Train or read the models, forget, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of images; see benchmarks/setting.py"
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder for trained weights and outcomes")
    parser.add_argument("--dataset", choices=DATASETS, default="mnist")
    parser.add_argument("--epochs", type=int, default=20, help="of every training (the paper: 200)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--relapse", type=int, default=10_000, help="retained images an epoch of fine-tuning")
    parser.add_argument(
        "--again", action="append", default=[], help="measure this method anew; may be repeated"
    )
    parser.add_argument(
        "--retrain-seeds",
        type=int,
        default=NUM_SEEDS,
        help="seeds that are also retrained without each class",
    )
    parser.add_argument("--small", action="store_true", help="one seed, two classes, one pair, one triple")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    setting = open_setting(asked.dataset, asked.data, asked.epochs, asked.device)
    rates = Cache(asked.cache, setting).choose_learning_rate()
    setting = setting.with_learning_rate(next(iter(rates)))
    found = outcomes(setting, Cache(asked.cache, setting), asked)

    print("holdout accuracy by learning rate:", {rate: round(score, 4) for rate, score in rates.items()})
    for size in SIZES:
        tables.print_outcomes(found, size)
    tables.print_by_class(found)
    tables.print_first_class(found, PUBLISHED[asked.dataset])
    tables.print_refusals(found)
    is_missed = tables.print_figures(found, asked.dataset, PUBLISHED[asked.dataset])
    sys.exit(1 if asked.strict and is_missed else 0)


if __name__ == "__main__":
    main()
