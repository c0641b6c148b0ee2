"""The home folder: its keys, its lock and what it tells."""

import json
import os
from pathlib import Path

import pytest

from lethe.home import Home, HomeBusy, Running


def test_first_creation_makes_keys_for_the_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")

    home.create()

    assert {path.name for path in home.keys.iterdir()} == {"admin.key", "ledger.key", "pseudonym.key"}
    assert {path.stat().st_mode & 0o777 for path in home.keys.iterdir()} == {0o600}
    assert home.keys.stat().st_mode & 0o777 == 0o700
    assert len(bytes.fromhex((home.keys / "pseudonym.key").read_text())) == 32
    assert len(home.admin_key()) > 40


def test_second_creation_changes_no_key(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    before = {path.name: path.read_bytes() for path in home.keys.iterdir()}

    home.create()

    assert {path.name: path.read_bytes() for path in home.keys.iterdir()} == before


def test_home_has_one_owner_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock(), pytest.raises(HomeBusy, match=rf"pid {os.getpid()}\)"), home.lock():
        pass

    with home.lock():
        pass


def test_what_runs_is_told_and_read_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    running = Running("http://127.0.0.1:8321", 7, "/keys/admin.key", str(tmp_path), "2026-01-01", {"api": 8})

    home.write_running(running)

    assert home.read_running() == running
    assert json.loads(home.running_path.read_text())["url"] == "http://127.0.0.1:8321"
    assert home.running_path.stat().st_mode & 0o777 == 0o600


def test_home_where_nothing_was_started_tells_nothing(tmp_path: Path) -> None:
    assert Home(tmp_path).read_running() is None
