"""A histogram's drawing shows every count in its place and closes its outline."""

from service.dashboard.charts.histogram import HEIGHT, panel, ticks

EDGES = [-2.0, -1.0, 0.0, 1.0, 2.0]


def test_tallest_bin_of_both_has_the_full_height() -> None:
    drawn = panel("To keep", EDGES, before=[0, 4, 0, 0], after=[1, 0, 2, 0])

    assert max(stroke.y1 for stroke in drawn.before) == HEIGHT
    assert [(column.start, column.width, column.height) for column in drawn.after] == [
        (0.0, 25.0, 18.0),
        (50.0, 25.0, 36.0),
    ]
    assert drawn.num_samples == 3


def test_outline_rises_and_falls_by_the_same() -> None:
    drawn = panel("To keep", EDGES, before=[1, 3, 0, 2], after=[0, 0, 0, 0])

    risers = [stroke for stroke in drawn.before if stroke.x1 == stroke.x2]
    assert sum(stroke.y2 - stroke.y1 for stroke in risers) == 0
    assert [stroke.x1 for stroke in risers] == [0.0, 25.0, 50.0, 75.0, 100.0]


def test_empty_sets_can_be_drawn() -> None:
    drawn = panel("To keep", EDGES, before=[0] * 4, after=[0] * 4)

    assert (drawn.before, drawn.after, drawn.num_samples) == ((), (), 0)


def test_ticks_outside_the_axis_are_left_out() -> None:
    assert [(tick.at, tick.text) for tick in ticks(EDGES, [-5, -1, 0, 2])] == [
        (25.0, "\N{MINUS SIGN}1"),
        (50.0, "0"),
        (100.0, "+2"),
    ]
