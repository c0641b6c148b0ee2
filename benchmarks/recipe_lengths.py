"""What a tenth of a recipe's steps, at twice its rate, costs in accuracy: it depends on the recipe's length.

    python -m benchmarks.recipe_lengths [--small] [--strict]

The network and the digits of `memorised`, with one label in twenty wrong and with all labels true; recipes of
three lengths, each against nine hundredths of it, which is what `abridged` takes. Nothing is forgotten here.
"""

import argparse
import dataclasses
import sys

import torch

from benchmarks import stacks
from benchmarks.memorised_sets import Setup, accuracies
from benchmarks.memorised_ways import RECIPE
from benchmarks.outcomes import interval
from benchmarks.ssd_digits import digits
from benchmarks.ulira import Scores
from workers.unlearning.methods.abridged import AbridgedParameters

NUM_MODELS, NUM_SMALL = 16, 6
FIRST_SHORT = 500  # seed; no model trained in full shares one
LENGTHS = (100, 30, 20)
GOAL_POINTS = 0.005


def main() -> None:
    """Measure, print the table and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help=f"{NUM_SMALL} models in place of {NUM_MODELS}")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    num_models = NUM_SMALL if asked.small else NUM_MODELS
    wrong = Setup.of(1)
    is_missed = False
    print(f"{'labels':<18}{'epochs':>7}{'of which':>9}{'test, whole':>13}{'test, abridged':>16}")
    for labels, setup in (
        ("one in 20 wrong", wrong),
        ("true", dataclasses.replace(wrong, source=digits())),
    ):
        for epochs in LENGTHS:
            few, whole, abridged = _accuracies(setup, epochs, num_models)
            mean, low, high = interval((abridged - whole).tolist())
            print(f"{labels:<18}{epochs:>7}{few:>9}{100 * whole.mean():>13.2f}{100 * abridged.mean():>16.2f}")
            print(
                f"figure recipe_lengths_{labels.replace(' ', '_')}_{epochs} value={mean:.4f} low={low:.4f} "
                f"high={high:.4f} unit=accuracy goal=>= -{GOAL_POINTS}"
            )
            is_missed |= mean < -GOAL_POINTS
    sys.exit(1 if asked.strict and is_missed else 0)


def _accuracies(setup: Setup, epochs: int, num_models: int) -> tuple[int, Scores, Scores]:
    """Return the epochs of the short training, and the test accuracies of both, [models] each."""
    defaults = AbridgedParameters()
    few = max(1, round(defaults.budget * epochs))
    whole = dataclasses.replace(RECIPE, epochs=epochs)
    short = dataclasses.replace(RECIPE, epochs=few, learning_rate=defaults.rate_factor * RECIPE.learning_rate)
    long_trained = stacks.train(setup.train, whole, range(num_models))
    short_trained = stacks.train(setup.train, short, range(FIRST_SHORT, FIRST_SHORT + num_models))
    return few, accuracies(long_trained, setup.test), accuracies(short_trained, setup.test)


if __name__ == "__main__":
    main()
