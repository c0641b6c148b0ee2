"""The legal month: the same day a month later, or that month's last."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core import clock

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2024, 1, 31), 1, (2024, 2, 29)),
        ((2100, 1, 31), 1, (2100, 2, 28)),
        ((2026, 1, 28), 1, (2026, 2, 28)),
        ((2026, 3, 31), 1, (2026, 4, 30)),
        ((2026, 12, 31), 1, (2027, 1, 31)),
        ((2026, 11, 30), 3, (2027, 2, 28)),
        ((2024, 2, 29), 12, (2025, 2, 28)),
        ((2026, 5, 15), 0, (2026, 5, 15)),
    ],
)
def test_months_are_calendar_months(
    start: tuple[int, int, int], months: int, end: tuple[int, int, int]
) -> None:
    assert clock.add_months(datetime(*start, 9, 5, tzinfo=UTC), months) == datetime(*end, 9, 5, tzinfo=UTC)


@given(moment=MOMENTS, months=st.integers(0, 30))
def test_later_month_is_never_skipped(moment: datetime, months: int) -> None:
    later = clock.add_months(moment, months)

    assert (later.year * 12 + later.month) - (moment.year * 12 + moment.month) == months
    assert later.day <= moment.day
    assert later.timetz() == moment.timetz()
    assert later.day == moment.day or (later + timedelta(days=1)).month != later.month


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 21, 1, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))

    assert clock.rfc3339(moment) == "2026-11-20T23:00:00.123Z"
