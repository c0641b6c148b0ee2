"""A manifest's rows survive the way from the engine to the database."""

import stat
from pathlib import Path

from workers.engine import lineage_rows

ROWS = [
    (0, b"\x01" * 32, None, 7, 0),
    (1, b"\x02" * 32, b"\x09" * 32, 0, 1),
    (2, b"\x00" * 32, b"\x00" * 32, 2**31 - 1, 2),
]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    lineage_rows.write(tmp_path / "rows", ROWS)

    assert list(lineage_rows.read(tmp_path / "rows")) == ROWS


def test_more_rows_than_one_read_holds_come_back(tmp_path: Path) -> None:
    many = [
        (row, row.to_bytes(32, "big"), None, row % 10, 0)
        for row in range(3 * lineage_rows.RECORDS_A_READ + 1)
    ]

    lineage_rows.write(tmp_path / "rows", many)

    assert list(lineage_rows.read(tmp_path / "rows")) == many


def test_the_digest_tells_two_manifests_apart(tmp_path: Path) -> None:
    first = lineage_rows.write(tmp_path / "a", ROWS)
    again = lineage_rows.write(tmp_path / "b", ROWS)
    other = lineage_rows.write(tmp_path / "c", [*ROWS[:2], (2, b"\x00" * 32, None, 5, 2)])

    assert first == again != other


def test_only_the_owner_may_read_the_scratch_file(tmp_path: Path) -> None:
    lineage_rows.write(tmp_path / "rows", ROWS)

    assert stat.S_IMODE((tmp_path / "rows").stat().st_mode) == 0o600
