"""Asking what to serve thousands of times a minute, waiting for it, and pulling it.

    python -m benchmarks.latest [--small] [--strict] [--only polls|waiting|downloads]

One API process as `lethe up` starts it, with a real PostgreSQL, by an ordinary key. Told are: 304s a second
beside bare `async def` routes in the same server with the same options (wrk, 16 connections, in turn); what
callers cost who wait, and how soon they are told; and downloads beside nginx with sendfile (same client, in
turn). Needs wrk and nginx. Values are medians; the interval is the range of the middle half of the rounds.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.latest import downloads, load, polling
from benchmarks.latest.setting import MEBIBYTE, Setting, opened

GOAL_POLLS = 0.6
GOAL_DOWNLOADS = 0.8
GOAL_GROWTH = 16 * MEBIBYTE
PARTS = ("polls", "waiting", "downloads")


class Figures:
    """Prints figures and remembers whether a goal was missed."""

    def __init__(self) -> None:
        self.is_missed = False

    def tell(self, name: str, values: Sequence[float], unit: str, goal: str = "") -> None:
        """Print the median of some values and the range of their middle half.

        Args:
            name: Name of the figure, without the benchmark's.
            values: One a round.
            unit: Unit of them.
            goal: Comparison and bound, e.g. `>= 0.6`; empty where there is none.
        """
        low, value, high = np.quantile(values, (0.25, 0.5, 0.75))
        if goal:
            comparison, bound = goal.split()
            self.is_missed |= value < float(bound) if comparison == ">=" else value > float(bound)
        print(
            f"figure latest_{name} value={value:.4g} low={low:.4g} high={high:.4g} unit={unit}"
            + (f" goal={goal}" if goal else ""),
            flush=True,
        )


def main() -> None:
    """Measure, print the tables and one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--small", action="store_true", help="200 callers wait, 128 MiB, fewer rounds")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a goal is missed")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    asked = parser.parse_args()
    load.require("wrk", "nginx")
    figures = Figures()
    num_bytes = (128 if asked.small else 256) * MEBIBYTE
    with (
        tempfile.TemporaryDirectory(prefix="lethe-latest-") as folder,
        opened(Path(folder), num_bytes) as setting,
    ):
        if asked.only in (None, "polls"):
            _polls(setting, figures, 5 if asked.small else 9)
        if asked.only in (None, "downloads"):
            _downloads(setting, figures, 5 if asked.small else 11)
        if asked.only in (None, "waiting"):  # last: it publishes
            _waiting(setting, figures, 200 if asked.small else 2000, 6.0 if asked.small else 20.0)
    sys.exit(1 if asked.strict and figures.is_missed else 0)


def _polls(setting: Setting, figures: Figures, rounds: int) -> None:
    found = polling.rates(setting, rounds, 2)
    print("\n304s a second, in turn")
    for name, values in found.items():
        print(f"{name:<10}" + "".join(f"{value:>8.0f}" for value in values))
    figures.tell("polls", found["ours"], "requests/s")
    for peer, goal in (("fastapi", f">= {GOAL_POLLS}"), ("starlette", "")):
        ratios = [ours / bare for ours, bare in zip(found["ours"], found[peer], strict=True)]
        figures.tell(f"polls_of_bare_{peer}", ratios, "ratio", goal)


def _waiting(setting: Setting, figures: Figures, num_waiting: int, seconds: float) -> None:
    found = polling.wait(setting, num_waiting, seconds)
    print(
        f"\n{num_waiting} callers waited {seconds:g} s and were then told of a publication: {found.statuses}"
    )
    print(f"transactions of the database meanwhile, all together: {found.transactions}")
    figures.tell("waiting_queries_each", [found.transactions / num_waiting], "transactions", "<= 0.05")
    figures.tell("waiting_bytes_each", [found.bytes_each], "bytes")
    half, last = found.told_seconds
    figures.tell("told_half", [half], "seconds")
    figures.tell("told_all", [last], "seconds")


def _downloads(setting: Setting, figures: Figures, rounds: int) -> None:
    (file,) = (path for path in (setting.folder / "store").rglob("*") if path.is_file())
    alone = downloads.pull_in_turn(setting, file, 1, rounds)
    crowd = downloads.pull_at_once(setting, file, 1, max(3, rounds // 2), 8)
    for title, found in (("one", alone), ("eight at once", crowd)):
        print(f"\ndownloads, {title}, MB a second")
        for name, values in (("ours", found.ours), ("nginx", found.nginx)):
            print(f"{name:<10}" + "".join(f"{value / 1e6:>8.0f}" for value in values))
    for name, found, goal in (("alone", alone, f">= {GOAL_DOWNLOADS}"), ("eight", crowd, "")):
        ratios = [ours / nginx for ours, nginx in zip(found.ours, found.nginx, strict=True)]
        figures.tell(f"downloads_{name}_of_nginx", ratios, "ratio", goal)
    grown = [max(found.memory) - found.memory[0] for found in (alone, crowd)]
    figures.tell("downloads_memory_growth", [max(grown)], "bytes", f"<= {GOAL_GROWTH}")


if __name__ == "__main__":
    main()
