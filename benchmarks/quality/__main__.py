"""Runs every registered method on every kind of request that it serves, and ranks them.

    python -m benchmarks.quality [--dataset digits|mnist|cifar10 --data DIR] [--small] [--strict] [--write]

Originals, and two models retrained without each forget set, are trained once and kept in the cache folder.
Each method then forgets in a copy; the audit gives its verdict, and the candidate is measured beside the
retrained ones. With --write the matrix goes into docs/results.md, between its marks, all details into
docs/quality-DATASET.md and the plot into docs/images.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.cache import Cache
from benchmarks.quality import page, plot, tables
from benchmarks.quality.asks import KINDS, Ask
from benchmarks.quality.measures import Outcome, Ruler
from benchmarks.quality.ways import Model, ways
from benchmarks.setting import DATASETS, Setting, digits_setting, open_setting
from workers.preparation.prepared import prepare
from workers.preparation.training import estimate_seconds
from workers.unlearning.errors import UnlearningError

DIGITS = "digits"
NUM_SEEDS = 3
REFERENCE = 1000  # added to a seed, it is that of the reference retraining


def outcomes(
    setting: Setting, cache: Cache, seeds: Sequence[int], kinds: Sequence[str], methods: list[str]
) -> Iterator[tuple[Outcome, Ruler]]:
    """Yield every outcome with the ruler it was measured by."""
    for seed in seeds:
        models: dict[str, Model] = {}
        for kind in kinds:
            ask = KINDS[kind](setting)
            if ask.source.name not in models:
                models[ask.source.name] = original(setting, cache, ask, seed)
            yield from ranked(models[ask.source.name], ask, methods)


def original(setting: Setting, cache: Cache, ask: Ask, seed: int) -> Model:
    """Train what still knows, and prepare it."""
    recipe = setting.recipe_of(seed)
    params, _ = cache.trained(recipe, None, ask.source)
    made = prepare(setting.build, params, ask.source, recipe)
    return Model(setting, recipe, params, made, cache, seed)


def ranked(model: Model, ask: Ask, methods: list[str]) -> Iterator[tuple[Outcome, Ruler]]:
    """Yield the outcome of every way to meet one request."""
    gold, _ = model.cache.trained(model.recipe, ask.positions, ask.source)
    # Timed beside the methods, not when it was trained: the machine may have been busier then.
    gold_seconds = estimate_seconds(
        model.setting.build, ask.source, model.recipe, excluded=ask.positions, device=model.setting.device
    )
    elsewhere = model.setting.recipe_of(model.seed + REFERENCE)
    reference, _ = model.cache.trained(elsewhere, ask.positions, ask.source)
    ruler = Ruler(model.setting, ask, model.params, gold, reference, gold_seconds, model.seed)
    for way in ways(model, ask, (gold, gold_seconds), methods):
        try:
            params, seconds = way.forget()
        except UnlearningError as error:
            yield ruler.refused(way.name, error.code, is_experimental=way.is_experimental), ruler
            continue
        measured = ruler.measure(
            way.name, params, seconds, way.guarantee, is_experimental=way.is_experimental
        )
        yield measured, ruler


def main() -> None:
    """Train or read the models, forget, print or write the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", choices=(DIGITS, *DATASETS), default=DIGITS)
    parser.add_argument("--data", type=Path, help="folder of images; see benchmarks/setting.py")
    parser.add_argument("--cache", type=Path, default=Path("build/quality"), help="for trained weights")
    parser.add_argument("--epochs", type=int, default=20, help="of every training")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="at the first step")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--kind", action="append", choices=[*KINDS], help="may be repeated; all by default")
    parser.add_argument("--method", action="append", default=[], help="beside retrain; all by default")
    parser.add_argument("--small", action="store_true", help="one seed")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--write", action="store_true", help="put tables and plot into docs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    setting = _setting(parser, asked)
    seeds, kinds = range(1 if asked.small else asked.seeds), asked.kind or [*KINDS]
    found, references = [], {}
    methods = ["retrain", *asked.method] if asked.method else []
    for outcome, ruler in outcomes(setting, Cache(asked.cache, setting), seeds, kinds, methods):
        found.append(outcome)
        if (outcome.ask, outcome.seed) not in references:
            references[outcome.ask, outcome.seed] = ruler.reference_scores()
        print(_told(outcome), file=sys.stderr, flush=True)

    ranking = tables.lines(found, references)
    for name, own in ranking.items():
        print(f"\n## {name}\n", *tables.details(own), sep="\n")
    print("", *tables.matrix(ranking), sep="\n")
    is_missed = False
    for line, is_met in tables.figures(asked.dataset, ranking):
        print(line)
        is_missed |= not is_met
    if asked.write:
        command = page.command_of(asked.dataset, asked.epochs, seeds, kinds)
        page.write(asked.dataset, command, len(seeds), ranking)
        plot.draw(ranking, asked.dataset, page.picture(asked.dataset))
    sys.exit(1 if asked.strict and is_missed else 0)


def _setting(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> Setting:
    if asked.dataset == DIGITS:
        return digits_setting(asked.epochs, asked.device).with_learning_rate(asked.learning_rate)
    if asked.data is None:
        parser.error(f"{asked.dataset} is read from a folder: name it with --data")
    setting = open_setting(asked.dataset, asked.data, asked.epochs, asked.device)
    return setting.with_learning_rate(asked.learning_rate)


def _told(outcome: Outcome) -> str:
    """Return one outcome for who waits."""
    what = f"refused: {outcome.refusal}" if outcome.refusal else f"{outcome.verdict} {outcome.failed}"
    return f"{outcome.ask:<14} seed {outcome.seed} {outcome.method:<20} {outcome.seconds:7.2f} s  {what}"


if __name__ == "__main__":
    main()
