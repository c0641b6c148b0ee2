"""What keeping Fishers compact, or only their sum, does to forgetting, and what either saves.

    python -m benchmarks.store [--small] [--strict]

For each seed a small convolutional network learns scikit-learn's digits; each class is then forgotten by
`ssd`, and after it a second one, from Fishers held in three ways: float32 by class (the reference), bfloat16
by class with their sum, and the sum alone with the class's own computed when asked. Told are the largest
error of any weight's share of information, and how the accuracies then differ from the reference's.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.classes import NUM_CLASSES, build, interval, of_class, problem_of
from workers.numerics import fisher, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.preparation import fishers
from workers.preparation.prepared import Prepared, prepare
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.unlearning import registry, run

WAYS = ("compact", "sum only")
GOAL_POINTS = 0.005
CLASSES_OF_A_LARGE_MODEL = 1000


@dataclass(frozen=True)
class Row:
    """One class of one seed, held in one way.

    Attributes:
        way: how the Fishers are held.
        share_error: largest difference of any weight's share of the second class's information, after the
            first was taken out.
        retained: accuracy on the classes kept after both are gone, less the reference's.
        error: error on the worse of the two forgotten, less the reference's.
    """

    way: str
    share_error: float
    retained: float
    error: float


def main() -> None:
    """Measure, print the table and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one seed, three classes")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    source = open_source({"source": "digits"})
    found = [
        row
        for seed in range(1 if asked.small else 3)
        for row in rows(source, seed, range(3 if asked.small else NUM_CLASSES))
    ]
    print(f"{'held as':<10} {'share error, worst':>20} {'A_R - reference':>26} {'E_F - reference':>26}")
    is_missed = False
    for way in WAYS:
        own = [row for row in found if row.way == way]
        retained, error = interval([row.retained for row in own]), interval([row.error for row in own])
        print(
            f"{way:<10} {max(row.share_error for row in own):>20.1e} "
            + "".join(f"{100 * m:>+10.2f} [{100 * a:+.2f}, {100 * b:+.2f}]" for m, a, b in (retained, error))
        )
        for name, (mean, low, high) in (("retained", retained), ("error", error)):
            print(
                f"figure store_{way.replace(' ', '_')}_{name}_difference value={mean:.4f} low={low:.4f} "
                f"high={high:.4f} unit=accuracy goal=>= -{GOAL_POINTS}"
            )
            is_missed |= mean < -GOAL_POINTS
    weights = sum(tensor.numel() for tensor in train_one(source, 0).values())
    for classes in (NUM_CLASSES, CLASSES_OF_A_LARGE_MODEL):
        full, compact = 4 * classes, fishers.COMPACT.itemsize * classes + 8
        print(
            f"{classes} classes, bytes a weight: {full} as float32, {compact} compact with their sum, "
            f"8 the sum alone ({8 * weights / 1e6:.2f} MB for these {weights} weights)"
        )
    sys.exit(1 if asked.strict and is_missed else 0)


def train_one(source: DatasetSource, seed: int) -> Params:
    """Return a trained network."""
    return train(build, source, recipe_of(seed)).params


def recipe_of(seed: int) -> TrainingRecipe:
    """Return how the network of a seed is trained."""
    return TrainingRecipe(epochs=20, batch_size=32, learning_rate=0.1, seed=seed)


def rows(source: DatasetSource, seed: int, labels: range) -> list[Row]:
    """Return the outcomes of one network: each class is forgotten, and then the next one."""
    params = train_one(source, seed)
    made = prepare(build, params, source, recipe_of(seed))
    held: dict[str, ClassInformation] = {
        "reference": made.class_information,
        "compact": compact(made.class_information),
        "sum only": sum_only(made.class_information, source, params),
    }
    found = []
    for label in labels:
        pair = (label, (label + 1) % NUM_CLASSES)
        scores = {way: forgotten(source, params, made, held[way], pair, seed) for way in held}
        shares = {way: second_share(held[way], *pair) for way in held}
        for way in WAYS:
            (kept, error), (kept_before, error_before) = scores[way], scores["reference"]
            worst = float((shares[way] - shares["reference"]).abs().max())
            found.append(Row(way, worst, kept - kept_before, error - error_before))
    return found


def compact(information: ClassInformation) -> ClassInformation:
    """Hold each class's own as it is stored; the sum is of those."""
    own = {
        label: {n: t.float() for n, t in fishers.compact(information.fetch(label)).items()}
        for label in information.counts
    }
    return ClassInformation.of_means(own, information.counts)


def sum_only(information: ClassInformation, source: DatasetSource, params: Params) -> ClassInformation:
    """Hold the sum; compute a class's own in batches of another size, as another machine might add it up."""

    def own(label: int) -> Params:
        return fisher.diagonal_fisher(build(), params, of_class(source, "train", label).batches(50))

    whole = information.whole()
    return ClassInformation(information.counts, own, lambda: whole)


def second_share(information: ClassInformation, first: int, second: int) -> Tensor:
    """Return each weight's share of the second class's information when the first is taken out, flat."""
    left = information.without([first])
    own = information.fetch(second)
    count = information.counts[second]
    shares = [
        torch.where(left[n] > 0, (count * own[n].double() / left[n]).clamp(max=1), 0.0).flatten() for n in own
    ]
    return torch.cat(shares)


def forgotten(
    source: DatasetSource,
    params: Params,
    made: Prepared,
    information: ClassInformation,
    pair: tuple[int, int],
    seed: int,
) -> tuple[float, float]:
    """Forget two classes one after the other; return A_R and the smaller E_F on the test split."""
    problem = problem_of(source, params, made, pair[0], seed)
    gone = np.union1d(*(of_class(source, "train", label).positions for label in pair))
    both = replace(
        problem,
        classes=tuple(sorted(pair)),
        forget=SampleSet(source, gone),
        retain=SampleSet(source, np.setdiff1d(source.manifest.positions("train"), gone)),
        class_information=information,
    )
    after = run.forget(registry.find(registry.discover(), "ssd"), both).params
    test = source.manifest.positions("test")
    labels = source.manifest.labels[test]
    right: Callable[[np.ndarray], float] = lambda rows: metrics.accuracy(  # noqa: E731
        *metrics.logits_of(build(), after, SampleSet(source, test[rows]))
    )
    return right(~np.isin(labels, pair)), min(1 - right(labels == label) for label in pair)


if __name__ == "__main__":
    main()
