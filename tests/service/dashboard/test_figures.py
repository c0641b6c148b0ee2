"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.dashboard import figures
from service.dashboard.figures import MINUS, NOTHING

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (0.51239, "0.5124"),
        (-0.25, f"{MINUS}0.25"),
        (12.3456, "12.35"),
        (100.0, "100"),
        (1204.0, "1,204"),
        (-0.00001, f"{MINUS}1e{MINUS}05"),
        (1e9, "1e+09"),
        (None, NOTHING),
    ],
)
def test_measured_number_keeps_four_digits(value: float | None, text: str) -> None:
    assert figures.decimal(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.9712, "97.1%"), (1.0, "100.0%"), (-0.0001, "0.0%"), (None, NOTHING)]
)
def test_share_is_written_in_per_cent(share: float | None, text: str) -> None:
    assert figures.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.034, "34 ms"), (5.0, "5 s"), (12.44, "12.4 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")],
)
def test_run_time_is_written_in_its_own_unit(value: float, text: str) -> None:
    assert figures.seconds(value) == text


@pytest.mark.parametrize(
    ("due_in", "text"),
    [
        (timedelta(days=12, hours=3), "12 days left"),
        (timedelta(days=1), "1 day left"),
        (timedelta(hours=5), "due within a day"),
        (-timedelta(hours=2), "2 hours overdue"),
        (-timedelta(days=3, hours=1), "3 days overdue"),
    ],
)
def test_due_date_is_written_as_what_is_left(due_in: timedelta, text: str) -> None:
    assert figures.days_left(NOW + due_in, NOW) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=30), "1 day ago"),
    ],
)
def test_age_is_written_in_its_largest_unit(ago: timedelta, text: str) -> None:
    assert figures.age(NOW - ago, NOW) == text


@pytest.mark.parametrize(("num_bytes", "text"), [(12, "12 B"), (52224, "52.2 kB"), (3_000_000_000, "3.0 GB")])
def test_file_size_is_written_in_its_unit(num_bytes: int, text: str) -> None:
    assert figures.size(num_bytes) == text


def test_moment_is_written_in_utc() -> None:
    assert figures.moment(NOW) == "21 Nov 2026, 10:00 UTC"
