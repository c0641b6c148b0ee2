"""Forgetting samples that a model knows by heart: does an attack made for each sample tell?

    python -m benchmarks.memorised [--small] [--strict] [--draws N] [--models N] [--method NAME ...]

A small network learns the digits with one label in twenty wrong, from many seeds; eleven samples are then
forgotten in several ways and by registered methods. U-LiRA (`ulira`) asks two things of each. Against models
retrained by the whole recipe without the samples, by three statistics (the log odds of the label, the same
near the sample, the gap between other classes): how far is it from retraining? And under *same way*, of two
worlds in both of which others are forgotten by this way: were the samples forgotten with them, or were they
never there? That tells whether the model betrays who was in it.

No way reads the test split. The rate of the short trainings was chosen on another draw of labels and forget
sets, that is in no table, but on the same test images. Draws are numbered from 1.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import stacks
from benchmarks.memorised_sets import Setup, accuracies, confidences, gaps, near_confidences
from benchmarks.memorised_ways import RECIPE, WAYS, Way, problem, registered
from benchmarks.outcomes import interval
from benchmarks.ulira import Attack, Scores, attack
from workers.numerics.params import Params
from workers.preparation.training import train
from workers.unlearning import registry, run

NUM_ORIGINALS, NUM_SMALL = 48, 16  # models a side; twice as many are retrained
FIRST_RETRAINED = 1000  # seed; no original shares one
NUM_TIMED = 5
NONE = np.empty(0, dtype=np.int64)
GOAL_ATTACK, GOAL_POINTS, GOAL_COST = 0.60, 0.005, 0.10


@dataclass(frozen=True)
class Row:
    """One way on one forget set of one draw.

    Attributes:
        way: its name.
        forget_set: its name.
        recalled: share of the forget set that still gets the label it was trained with.
        tested: accuracy on the test split, less the originals', one value a model.
        accuracy: on the test split, mean.
        retrained: the attack against retrained models.
        near: the same, near the samples.
        gap: the same, by the gap between other classes.
        same_way: the attack on models that forgot others too against models that only forgot these.
    """

    way: str
    forget_set: str
    recalled: float
    tested: Scores
    accuracy: float
    retrained: Attack
    near: Attack
    gap: Attack
    same_way: Attack


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help=f"{NUM_SMALL} models a side, canaries alone")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--draws", type=int, default=1, help="draws of labels and forget sets")
    parser.add_argument("--models", type=int, default=NUM_ORIGINALS, help="models a side")
    parser.add_argument("--method", action="append", help="registered methods; abridged if none is named")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = asked.method or ["abridged"]
    ways = [*WAYS, *(registered(registry.find(registry.discover(), name)) for name in names)]
    found = []
    for draw in range(1, asked.draws + 1):
        found += rows(Setup.of(draw), ways, NUM_SMALL if asked.small else asked.models, asked.small)
    _print_table(found)
    is_missed = False
    for name in names:
        is_missed |= _print_figures([row for row in found if row.way == name], name)
        is_missed |= _print_cost(name)
    sys.exit(1 if asked.strict and is_missed else 0)


def rows(setup: Setup, ways: Sequence[Way], num_models: int, is_small: bool) -> list[Row]:
    """Train the originals, and for each forget set the retrained models; measure every way."""
    seeds = range(num_models)
    other_seeds = range(FIRST_RETRAINED, FIRST_RETRAINED + 2 * len(seeds))
    originals = stacks.train(setup.train, RECIPE, seeds)
    found = []
    for name, forgotten in setup.forget_sets.items():
        if is_small and name != "canaries":
            continue
        retrained = stacks.train(setup.train.without(forgotten), RECIPE, other_seeds)
        first, second = _part(retrained, 0, len(seeds)), _part(retrained, len(seeds), 2 * len(seeds))
        found.append(_measured(setup, "retrained", name, originals, first, second, (first, second)))
        for way in ways:
            ours = way.forget(setup, originals, seeds, forgotten, NONE)
            both = way.forget(setup, originals, seeds, np.union1d(forgotten, setup.bystanders), NONE)
            theirs = way.forget(setup, first, other_seeds[:num_models], setup.bystanders, forgotten)
            found.append(_measured(setup, way.name, name, originals, ours, retrained, (both, theirs)))
    return found


def _measured(
    setup: Setup,
    way: str,
    forget_set: str,
    originals: Params,
    ours: Params,
    retrained: Params,
    worlds: tuple[Params, Params],
) -> Row:
    gone = setup.train.only(setup.forget_sets[forget_set])
    tested = accuracies(ours, setup.test)
    return Row(
        way=way,
        forget_set=forget_set,
        recalled=float(accuracies(ours, gone).mean()),
        tested=tested - accuracies(originals, setup.test),
        accuracy=float(tested.mean()),
        retrained=attack(confidences(ours, gone), confidences(retrained, gone)),
        near=attack(near_confidences(ours, gone), near_confidences(retrained, gone)),
        gap=attack(gaps(ours, gone), gaps(retrained, gone)),
        same_way=attack(confidences(worlds[0], gone), confidences(worlds[1], gone)),
    )


def _part(stack: Params, start: int, end: int) -> Params:
    return {name: tensor[start:end] for name, tensor in stack.items()}


def _print_table(found: Sequence[Row]) -> None:
    for forget_set in dict.fromkeys(row.forget_set for row in found):
        print(f"\n{forget_set}: accuracy of U-LiRA, mean over samples [95 % interval] (highest), .5 is blind")
        print(
            f"{'way':<26}{'A_f':>7}{'test':>8}{'against retrained':>26}{'joint':>7}{'near':>7}{'gap':>7}"
            f"{'same way':>26}"
        )
        for way in dict.fromkeys(row.way for row in found):
            own = [row for row in found if (row.way, row.forget_set) == (way, forget_set)]
            print(
                f"{way:<26}{100 * np.mean([row.recalled for row in own]):>7.1f}"
                f"{100 * np.mean([row.accuracy for row in own]):>8.2f}"
                f"{_shown([row.retrained for row in own]):>26}"
                f"{np.mean([row.retrained.joint for row in own]):>7.2f}"
                f"{np.mean([row.near.mean for row in own]):>7.2f}"
                f"{np.mean([row.gap.mean for row in own]):>7.2f}"
                f"{_shown([row.same_way for row in own]):>26}"
            )


def _shown(attacks: Sequence[Attack]) -> str:
    mean, low, high = _mean(attacks)
    return f"{mean:.3f} [{low:.2f}, {high:.2f}] ({max(each.highest for each in attacks):.2f})"


def _mean(attacks: Sequence[Attack]) -> tuple[float, float, float]:
    """Return the means over draws of the accuracy and of the ends of its interval."""
    mean, low, high = np.mean([(each.mean, each.low, each.high) for each in attacks], axis=0).tolist()
    return mean, low, high


def _print_figures(found: Sequence[Row], name: str) -> bool:
    """Print one line a figure; return whether a goal was missed."""
    print()
    is_missed = False
    for forget_set in dict.fromkeys(row.forget_set for row in found):
        own = [row for row in found if row.forget_set == forget_set]
        for against in ("retrained", "same_way"):
            mean, low, high = _mean([getattr(row, against) for row in own])
            is_missed |= mean > GOAL_ATTACK
            print(
                f"figure memorised_{name}_{forget_set}_{against} value={mean:.4f} low={low:.4f} "
                f"high={high:.4f} unit=accuracy goal=<= {GOAL_ATTACK}"
            )
        mean, low, high = interval(np.concatenate([row.tested for row in own]).tolist())
        is_missed |= mean < -GOAL_POINTS
        print(
            f"figure memorised_{name}_{forget_set}_test_difference value={mean:.4f} low={low:.4f} "
            f"high={high:.4f} unit=accuracy goal=>= -{GOAL_POINTS}"
        )
    return is_missed


def _print_cost(name: str) -> bool:
    """Time the method and the recipe's training in turn, on one core; return whether the goal was missed."""
    setup, method = Setup.of(1), registry.find(registry.discover(), name)
    originals = stacks.drawn(range(NUM_TIMED))
    shares = []
    for seed in range(NUM_TIMED):
        given = problem(
            setup,
            stacks.member(originals, seed),
            seed,
            setup.forget_sets["canaries"],
            NONE,
        )
        began = time.process_time()
        run.forget(method, given)
        forgot = time.process_time()
        train(stacks.network, setup.source, RECIPE, excluded=given.forget.positions)
        shares.append((forgot - began) / (time.process_time() - forgot))
    value = statistics.median(shares)
    print(
        f"figure memorised_{name}_cost value={value:.4f} low={min(shares):.4f} high={max(shares):.4f} "
        f"unit=share_of_retraining goal=<= {GOAL_COST}"
    )
    return value > GOAL_COST


if __name__ == "__main__":
    main()
