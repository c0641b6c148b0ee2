"""Qualifies methods for a family of networks and a kind of request, and writes their records.

    python -m benchmarks.qualify --family mlp|cnn --kind class|samples [--method NAME ...] [--models 64]
        [--one-original] [--control] [--write] [--small] [--strict]

N small networks learn the digits, each from a seed of its own, forget a class or 22 samples by a method, and
are held against N that never learned them, by the metric of the NeurIPS 2023 unlearning competition and by
U-LiRA. Beside each number stands the null: what further retrained models get in their place. Samples are
forgotten twice: ordinary ones, and mislabelled ones that a model can only know by heart.

The competition forgot N times from one original, which asks less of a method that draws much by chance and
cannot be asked of one that draws nothing: its models are then all the same. Here every model has an original
of its own, unless `--one-original` says otherwise. Such runs are not written down.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.memorised_sets import Setup
from benchmarks.qualify import records
from benchmarks.qualify.populations import FAMILIES, Population
from benchmarks.qualify.trials import (
    LEAST_RATIO,
    LEAST_SHARE,
    NOTHING,
    RETRAINED,
    Arena,
    ForgetSet,
    Trial,
    of_method,
    of_nothing,
    of_retrained,
    timed_training,
)
from benchmarks.ssd_digits import digits
from workers.numerics.params import Params
from workers.unlearning import registry
from workers.unlearning.base import Kind

METHODS = {"class": ("ssd", "one_shot"), "samples": ("ssd", "neg_grad_plus")}
NUM_MODELS, NUM_SMALL, EPOCHS_SMALL = 64, 8, 4
FIRST_RETRAINED, FIRST_FURTHER = 1000, 5000  # seeds; no original shares one
CLASS = 3
DRAW = 1
NUM_SAMPLES = 22
MOST_SCORED = 50


def main() -> None:
    """Measure, print the table and one line a figure, and write the records if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--kind", choices=sorted(METHODS), required=True)
    parser.add_argument(
        "--method", action="append", help="registered methods; a default pair if none is named"
    )
    parser.add_argument("--models", type=int, help=f"models a side; {NUM_MODELS}")
    parser.add_argument("--one-original", action="store_true", help="forget N times from one model")
    parser.add_argument(
        "--control", action="store_true", help="put retrained models in the methods' place too"
    )
    parser.add_argument("--cache", type=Path, help="folder of trained networks; a temporary one")
    parser.add_argument("--write", action="store_true", help="write the records into the package")
    parser.add_argument("--small", action="store_true", help=f"{NUM_SMALL} models, {EPOCHS_SMALL} epochs")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a method does not qualify")
    asked = parser.parse_args()
    if asked.write and (asked.one_original or asked.small):
        parser.error("records are written of full trials with an original a model alone")
    torch.set_num_threads(1)
    num_models = asked.models or (NUM_SMALL if asked.small else NUM_MODELS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.cache or Path(temporary)
        epochs = EPOCHS_SMALL if asked.small else None
        population, forget_sets = arenas(asked.family, asked.kind, folder, epochs)
        found = trials(
            population,
            forget_sets,
            asked.method or METHODS[asked.kind],
            num_models,
            has_one_original=asked.one_original,
            has_control=asked.control,
        )
    _print_table(found, f"{asked.family}, {asked.kind}, {num_models} models a side")
    is_missed = _print_figures(found, asked.family)
    if asked.write:
        known = registry.discover()
        untouched = [trial for trial in found if trial.way == NOTHING]
        for name in dict.fromkeys(trial.way for trial in found if trial.way in known):
            own = [trial for trial in found if trial.way == name]
            command = f"python -m benchmarks.qualify --family {asked.family} --kind {asked.kind}"
            command += f" --method {name} --models {num_models}"
            written = records.record(known[name], population, asked.kind, own, untouched, command)
            print(f"wrote {records.write(name, written)}")
    sys.exit(1 if asked.strict and is_missed else 0)


def arenas(family: str, kind: str, folder: Path, epochs: int | None) -> tuple[Population, list[ForgetSet]]:
    """Return the models' common ground, and what is forgotten from them."""
    if kind == Kind.CLASS:
        source = digits()
        rows = source.manifest.positions("train")
        gone = rows[source.manifest.labels[rows] == CLASS]
        population = Population(family, source, has_codes=True, folder=folder, epochs=epochs)
        return population, [ForgetSet(f"class_{CLASS}", Kind.CLASS, gone, gone[:MOST_SCORED], (CLASS,))]
    setup = Setup.of(DRAW)
    rows = setup.source.manifest.positions("train")
    sets = {
        "random": rows[np.union1d(setup.forget_sets["random"], setup.bystanders)],
        "canaries": rows[np.sort(setup.mislabelled[:NUM_SAMPLES])],
    }
    population = Population(family, setup.source, has_codes=False, folder=folder, epochs=epochs)
    return population, [ForgetSet(name, Kind.SAMPLES, gone, gone) for name, gone in sets.items()]


def trials(
    population: Population,
    forget_sets: Sequence[ForgetSet],
    names: Sequence[str],
    num_models: int,
    *,
    has_one_original: bool = False,
    has_control: bool = False,
) -> list[Trial]:
    """Train the models, and measure doing nothing and each method on each forget set."""
    methods = registry.discover()
    nothing = np.empty(0, dtype=np.int64)
    seeds = [0] * num_models if has_one_original else [*range(num_models)]
    learned: dict[int, Params] = dict(
        zip(dict.fromkeys(seeds), population.trained([*dict.fromkeys(seeds)], nothing), strict=True)
    )
    training_seconds = timed_training(population, forget_sets[0].positions)
    found = []
    for forget_set in forget_sets:
        others = range(FIRST_RETRAINED, FIRST_RETRAINED + 2 * num_models)
        arena = Arena(
            population=population,
            forget_set=forget_set,
            originals=[learned[seed] for seed in seeds],
            seeds=seeds,
            retrained=population.trained(others, forget_set.positions),
            training_seconds=training_seconds,
        )
        if has_control:
            further = range(FIRST_FURTHER, FIRST_FURTHER + num_models)
            found.append(of_retrained(arena, population.trained(further, forget_set.positions)))
        found += [of_nothing(arena), *(of_method(arena, registry.find(methods, name)) for name in names)]
    return found


def _print_table(found: Sequence[Trial], title: str) -> None:
    print(f"\n{title}; null: retrained against retrained")
    print(
        f"{'forget set':<12}{'way':<16}{'refused':>8}{'epsilon (null)':>16}{'excess':>24}{'sure':>14}"
        f"{'F (null)':>14}{'share of null':>20}{'U-LiRA (null)':>16}{'highest':>9}"
        f"{'RA':>7}{'TA':>7}{'cost':>7}"
    )
    for trial in found:
        stood = trial.standing
        print(
            f"{trial.forget_set:<12}{trial.way:<16}{trial.num_refused:>8}"
            f"{stood.epsilon:>8.2f} ({stood.null_epsilon:>5.2f})"
            f"{stood.excess.value:>8.2f} [{stood.excess.low:>5.2f}, {stood.excess.high:>5.2f}]"
            f"{trial.certified:>6.2f} {trial.num_certified:>3}/{trial.num_samples:<3}"
            f"{stood.forgetting:>6.3f} ({stood.null_forgetting:.3f})"
            f"{stood.share.value:>6.2f} [{stood.share.low:.2f}, {stood.share.high:.2f}]"
            f"{trial.attack.mean:>8.3f} ({trial.null_attack.mean:.3f}){trial.attack.highest:>9.2f}"
            f"{trial.retained_ratio.value:>7.3f}{trial.test_ratio.value:>7.3f}{trial.cost:>7.2f}"
        )
    print()


def _print_figures(found: Sequence[Trial], family: str) -> bool:
    """Print the figures that the bar is about; return whether any method missed it."""
    for trial in found:
        stem = f"qualify_{family}_{trial.forget_set}_{trial.way}"
        share, excess = trial.standing.share, trial.standing.excess
        print(
            f"figure {stem}_share value={share.value:.4f} low={share.low:.4f} high={share.high:.4f} "
            f"unit=share_of_null goal=low >= {LEAST_SHARE}"
        )
        print(
            f"figure {stem}_excess value={excess.value:.4f} low={excess.low:.4f} high={excess.high:.4f} "
            "unit=epsilon goal=<= 0"
        )
        for name, ratio in (("retained", trial.retained_ratio), ("test", trial.test_ratio)):
            print(
                f"figure {stem}_{name} value={ratio.value:.4f} low={ratio.low:.4f} high={ratio.high:.4f} "
                f"unit=ratio goal=>= {LEAST_RATIO}"
            )
    return any(not trial.is_passed for trial in found if trial.way not in (NOTHING, RETRAINED))


if __name__ == "__main__":
    main()
