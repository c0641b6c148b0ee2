"""How the outcomes of forgetting are shown: tables for a reader, one line a figure for a machine."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.forgetting import RETRAIN
from benchmarks.outcomes import Row, interval

PRINTED_HALF = 0.0005  # the paper prints tenths of a percent, and 100.0 begins at 99.95

Published = Mapping[str, tuple[float, float]]


def print_outcomes(found: Sequence[Row], size: int) -> None:
    """Print the outcomes of all requests for so many classes, in percent."""
    own = [row for row in found if len(row.classes) == size]
    if not own:
        return
    settings = list(dict.fromkeys(setting for row in own for setting in row.relapses))
    print(f"\n{size} class{'es' if size > 1 else ''} forgotten: mean [95 % interval] (lowest), percent")
    print(
        f"{'method':<12}{'n':>3}{'A_R':>28}{'E_F':>30}{'passed':>8}{'median s':>10}"
        f"   E_F after fine-tuning, rate x epochs: {', '.join(settings)}"
    )
    for method, mine in by_method(own):
        passed = sum(row.verdict == "pass" for row in mine)
        later = [_mean(row.relapses[each] for row in mine if each in row.relapses) for each in settings]
        print(
            f"{method:<12}{len(mine):>3}{_spread([row.retained for row in mine]):>28}"
            f"{_spread([row.error for row in mine], [row.worst_error for row in mine]):>30}"
            f"{passed:>8}{np.median([row.seconds for row in mine]):>10.3f}   {'  '.join(later)}"
        )


def print_by_class(found: Sequence[Row]) -> None:
    """Print A_R / E_F of each class forgotten alone, mean of the seeds."""
    own = [row for row in found if len(row.classes) == 1]
    labels = sorted({row.classes for row in own})
    print("\nA_R / E_F of each class forgotten alone, mean of the seeds, percent")
    print(f"{'method':<12}" + "".join(f"{label[0]:>12}" for label in labels))
    for method, mine in by_method(own):
        cells = []
        for label in labels:
            ours = [row for row in mine if row.classes == label]
            cells.append(f"{_mean(row.retained for row in ours)}/{_mean(row.error for row in ours)}")
        print(f"{method:<12}" + "".join(f"{cell:>12}" for cell in cells))


def print_first_class(found: Sequence[Row], published: Published) -> None:
    """Print what the paper's two tables hold: class 0, mean and standard deviation over the seeds."""
    print("\nclass 0 alone, as published: mean +- standard deviation of the seeds, percent")
    for method, mine in by_method([row for row in found if row.classes == (0,)]):
        retained, error = (
            f"{100 * np.mean(values):.1f} +- {100 * np.std(values):.1f}"
            for values in ([row.retained for row in mine], [row.error for row in mine])
        )
        paper = published.get(method)
        beside = f"published {100 * paper[0]:.1f} / {100 * paper[1]:.1f}" if paper else ""
        print(f"{method:<12} A_R {retained:<14} E_F {error:<14} {beside}")


def print_refusals(found: Sequence[Row]) -> None:
    """Print which gates of the audit refused which method, and how often."""
    print("\nwhat the audit refused, all requests")
    for method, mine in by_method(found):
        names = [name for row in mine for name in row.failed.split(",") if name]
        counted = ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))
        print(f"{method:<12} {counted or 'nothing'}")


def print_figures(found: Sequence[Row], dataset: str, published: Published) -> bool:
    """Print one line a figure, against the paper and retraining; return whether a goal was missed."""
    single = [row for row in found if len(row.classes) == 1]
    gold = {(row.seed, row.classes): row.retained for row in single if row.method == RETRAIN}
    is_missed = False
    for method, mine in by_method(single):
        if method not in published:
            continue
        of_gold = [
            row.retained / gold[row.seed, row.classes] for row in mine if (row.seed, row.classes) in gold
        ]
        for name, values, goal in (
            ("retained", [row.retained for row in mine], published[method][0] - PRINTED_HALF),
            ("error", [row.error for row in mine], published[method][1] - PRINTED_HALF),
            ("retained_of_retrained", of_gold, 0.97),
        ):
            if not values:
                continue
            mean, low, high = interval(values)
            is_missed |= mean < goal
            print(
                f"figure {dataset}_{method}_{name} value={mean:.4f} low={low:.4f} high={high:.4f} "
                f"unit={'ratio' if name.endswith('retrained') else 'share'} goal=>= {goal:g}"
            )
    return is_missed


def by_method(found: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return each method's rows, retraining first, then in order of appearance."""
    names = sorted(dict.fromkeys(row.method for row in found), key=lambda name: name != RETRAIN)
    return [(name, [row for row in found if row.method == name]) for name in names]


def _spread(values: Sequence[float], lowest: Sequence[float] | None = None) -> str:
    """Return mean, interval and lowest value in percent."""
    mean, low, high = (100 * each for each in interval(values))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}] ({100 * min(lowest or values):.1f})"


def _mean(values: Iterable[float]) -> str:
    """Return the mean in percent, a dash for none."""
    each = list(values)
    return f"{100 * np.mean(each):.1f}" if each else "-"
