"""Settings: read from LETHE_ variables, with bounds, and no default for what must be told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.core.settings import CoreSettings


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two settings that every process must be told."""
    monkeypatch.setenv("LETHE_DATABASE_URL", "postgresql+psycopg://somewhere/lethe")
    monkeypatch.setenv("LETHE_DATA_DIR", "/data")


def test_variables_are_read_and_paths_follow_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_LEASE_SECONDS", "2.5")

    settings = CoreSettings()

    assert settings.database_url == "postgresql+psycopg://somewhere/lethe"
    assert settings.lease_seconds == 2.5
    assert settings.store_dir == Path("/data/store")
    assert settings.pseudonym_key_path == Path("/data/keys/pseudonym.key")
    assert settings.ledger_key_path == Path("/data/keys/ledger.key")


@pytest.mark.parametrize("missing", ["LETHE_DATABASE_URL", "LETHE_DATA_DIR"])
def test_what_must_be_told_has_no_default(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)

    with pytest.raises(ValidationError):
        CoreSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("LETHE_LEASE_SECONDS", "0"), ("LETHE_MAX_ATTEMPTS", "0"), ("LETHE_LOG_FORMAT", "xml")],
)
def test_senseless_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        CoreSettings()


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in CoreSettings.model_fields.values())
