"""A histogram's way over its bins shows every count in its place and closes on the base line."""

import re

from service.core.reports.drawing.histogram import is_drawable, pair, steps

EDGES = [-2.0, -1.0, 0.0, 1.0, 2.0]


def test_way_rises_and_falls_with_the_counts() -> None:
    assert steps(EDGES, [1, 4, 0, 2], tallest=4) == "M0 100 L0 75 H25 V0 H50 V100 H75 V50 H100 V100"


def test_both_share_the_height_of_the_tallest_bin() -> None:
    drawn = pair(EDGES, solid=[0, 2, 0, 0], outlined=[0, 4, 0, 0], place=(0, 0, 100, 80))

    assert re.findall(r"V(0|50)\b", drawn) == ["50", "0"]


def test_bins_that_do_not_ascend_or_fit_are_not_drawn() -> None:
    assert is_drawable(EDGES, [1, 2, 3, 4])
    assert not is_drawable([], [])
    assert not is_drawable([0.0], [])
    assert not is_drawable([0.0, 0.0], [1])
    assert not is_drawable(EDGES, [1, 2, 3])
    assert not is_drawable([0.0, float("inf")], [1])
