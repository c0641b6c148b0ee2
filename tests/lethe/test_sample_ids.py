"""Reading a file of sample ids."""

import pytest

from lethe import sample_ids
from lethe.client import LetheError


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("train/1\ntrain/2\n", ["train/1", "train/2"]),
        ("train/1\ntrain/2", ["train/1", "train/2"]),
        ("train/1\r\ntrain/2\r\n", ["train/1", "train/2"]),
        ("\ufefftrain/1\n\n", ["train/1"]),
        ("a b\nM\u00fcller\n", ["a b", "M\u00fcller"]),
    ],
)
def test_each_line_is_an_id_however_it_ends(text: str, ids: list[str]) -> None:
    assert sample_ids.read(text.encode().splitlines(keepends=True), "ids") == ids


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (b" alice\n", "without spaces"),
        (b"   \n", "without spaces"),
        (b"alice\tbob\n", "control characters"),
        (b"alice\0\n", "control characters"),
        (b"\xe9alice\n", "UTF-8"),
        (b"alice" * 103, "at most 512 characters, not 515"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_never_by_what_it_says(bad: bytes, expected: str) -> None:
    with pytest.raises(LetheError, match=rf"^Line 2 of ids .*{expected}.* Nothing was sent") as refused:
        sample_ids.read([b"train/1\n", bad], "ids")

    assert "alice" not in str(refused.value)


def test_a_file_without_an_id_is_refused() -> None:
    with pytest.raises(LetheError, match="holds none"):
        sample_ids.read([b"\n"], "ids")


def test_a_file_of_more_ids_than_a_request_may_name_is_refused() -> None:
    lines = [b"%d\n" % number for number in range(sample_ids.MAX_IDS + 1)]

    assert len(sample_ids.read(lines[:-1], "ids")) == sample_ids.MAX_IDS
    with pytest.raises(LetheError, match=r"Line 100001 .* split the file"):
        sample_ids.read(lines, "ids")
