"""The amnesiac table comes out of generated files, from the command line on."""

import sys

import pytest

from benchmarks import amnesiac
from tests.fixtures.image_folders import write_mnist


def test_the_table_names_its_rows_and_what_is_forgotten_stays_so(tmp_path, monkeypatch, capsys):
    write_mnist(tmp_path)
    asked = ["--data", str(tmp_path), "--images", "300", "--threes", "20", "--small"]
    monkeypatch.setattr(sys, "argv", ["amnesiac", *asked])

    with pytest.raises(SystemExit) as ended:
        amnesiac.main()

    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "0.67/0.98 |" in out and "Original, tail" in out and "Ours, p = 0.1" in out
    assert "figure amnesiac_ours_p_0_1_subtracted value=0.0000" in out
