"""A measured number stands inside its drawing, on the right side of its limit."""

import math

from hypothesis import given
from hypothesis import strategies as st

from service.core.reports.drawing.range_bar import Sense, Span, range_bar
from service.core.reports.drawing.scale import Scale, around

NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, st.tuples(NUMBERS, NUMBERS).map(sorted), NUMBERS, st.sampled_from([None, *Sense]))
def test_everything_stays_inside_the_drawing(
    value: float, interval: list[float], threshold: float, sense: Sense | None
) -> None:
    bar = range_bar(value, (interval[0], interval[1]), threshold, sense)

    places = [bar.dot, bar.origin, *bar.limits]
    places += [
        edge
        for span in (bar.interval, *bar.beyond)
        if span
        for edge in (span.start, span.start + span.length)
    ]
    assert all(-0.01 <= place <= 100.01 for place in places)


def test_value_within_an_upper_limit_stands_left_of_the_shade() -> None:
    bar = range_bar(0.01, (0.0, 0.03), 0.05, Sense.AT_MOST)

    assert bar.dot < bar.limits[0] == bar.beyond[0].start
    assert math.isclose(bar.beyond[0].start + bar.beyond[0].length, 100.0)


def test_value_above_a_lower_limit_stands_right_of_the_shade() -> None:
    bar = range_bar(0.3, None, -1.0, Sense.AT_LEAST)

    assert bar.beyond == (Span(0.0, bar.limits[0]),)
    assert bar.dot > bar.origin > bar.limits[0]


def test_attack_is_drawn_around_one_half() -> None:
    bar = range_bar(0.53, (0.44, 0.61), 0.55, Sense.NEAR_HALF)

    assert (bar.origin, bar.limits) == (50.0, (45.0, 55.0))
    assert [span.start for span in bar.beyond] == [0.0, 55.0]


def test_unknown_sense_shades_nothing() -> None:
    assert range_bar(0.5, None, 0.7, None).beyond == ()


def test_scale_shows_zero_even_where_nothing_is_measured() -> None:
    assert around([None, math.nan, 0.0]) == Scale(0.0, 1.0)
    assert around([-2.0]).at(0.0) == 100.0
