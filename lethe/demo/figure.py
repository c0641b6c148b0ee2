"""The demo's plot: accuracy and the membership attack, before, after, and of a model retrained without."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lethe.demo.scores import Scores

MODELS = ("before", "after", "retrained without")
COLOURS = {"before": "#b9c3cf", "after": "#1f6f8b", "retrained without": "#d9a441"}
BAR_WIDTH = 0.26


def save(rows: Sequence[tuple[str, Mapping[str, Scores]]], folder: Path) -> list[Path]:
    """Draw one row a request and save it as PNG and SVG.

    Args:
        rows: For each request its title, and the scores of each of `MODELS`.
        folder: Where to write.

    Returns:
        The files written.
    """
    figure, grid = plt.subplots(
        len(rows), 2, figsize=(9.0, 3.1 * len(rows)), width_ratios=(1.25, 1.0), squeeze=False
    )
    for (left, right), (title, scores) in zip(grid, rows, strict=True):
        _accuracies(left, title, scores)
        _attack(right, scores)
    grid[0][0].legend(loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=3, frameon=False)
    figure.tight_layout()
    paths = [folder / "forgetting.png", folder / "forgetting.svg"]
    for path in paths:
        figure.savefig(path, dpi=150)
    plt.close(figure)
    return paths


def _accuracies(axes: Axes, title: str, scores: Mapping[str, Scores]) -> None:
    for index, model in enumerate(MODELS):
        values = (scores[model].retained, scores[model].forgotten)
        places = [group + (index - 1) * BAR_WIDTH for group in range(2)]
        bars = axes.bar(places, values, BAR_WIDTH * 0.92, color=COLOURS[model], label=model)
        axes.bar_label(bars, [f"{100 * value:.1f}" for value in values], padding=2, fontsize=8)
    axes.set_xticks(range(2), ["what it keeps", "what it forgot"])
    axes.set_ylim(0, 1.15)
    axes.set_yticks([0, 0.5, 1.0], ["0", "50", "100 %"])
    axes.set_title(f"{title}: accuracy", loc="left", fontsize=10)
    _quiet(axes)


def _attack(axes: Axes, scores: Mapping[str, Scores]) -> None:
    for index, model in enumerate(MODELS):
        attack = scores[model].attack
        axes.plot([attack.low, attack.high], [index, index], color=COLOURS[model], linewidth=5, alpha=0.55)
        axes.plot(attack.value, index, "o", color=COLOURS[model], markersize=9, markeredgecolor="white")
        axes.annotate(
            f"{attack.value:.2f}", (attack.value, index), (0, 8), textcoords="offset points", ha="center"
        )
    axes.axvline(0.5, color="#555555", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(MODELS)), MODELS)
    axes.set_ylim(len(MODELS) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_title("membership attack, AUC with 95 % interval", loc="left", fontsize=10)
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
