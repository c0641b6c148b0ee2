"""The composition root: light, lazy, and open only where it should be."""

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from service.main import application
from service.settings import ServiceSettings
from tests.fixtures.api import ADMIN_KEY

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "numpy", "celery", "kombu", "workers", "scipy", "sklearn")
FRESH = f"""
import sys
from service.main import create_app
from service.settings import ServiceSettings
create_app(ServiceSettings(database_url="postgresql+psycopg://nowhere/x", data_dir=".", admin_key="12345678"))
print([name for name in {HEAVY!r} if name in sys.modules])
"""
VARIABLES = {
    "LETHE_DATABASE_URL": "postgresql+psycopg://nowhere/lethe",
    "LETHE_DATA_DIR": "/nowhere",
    "LETHE_ADMIN_KEY": ADMIN_KEY,
    "LETHE_ALLOWED_FACTORIES": "nets.zoo:tiny, nets.zoo:wide,",
    "LETHE_DATA_ROOTS": "/data/one:/data/two",
}


def test_the_service_loads_neither_numerics_nor_workers():
    found = subprocess.run(
        [sys.executable, "-c", FRESH], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_the_application_is_described_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)

    assert isinstance(application(), FastAPI)
    settings = ServiceSettings()
    assert settings.allowed_factories == {"nets.zoo:tiny", "nets.zoo:wide"}
    assert settings.data_roots == (Path("/data/one"), Path("/data/two"))


def test_the_admin_key_has_no_default_and_is_not_printed(monkeypatch: pytest.MonkeyPatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert ADMIN_KEY not in repr(ServiceSettings())

    monkeypatch.delenv("LETHE_ADMIN_KEY")
    with pytest.raises(ValidationError, match="admin_key"):
        ServiceSettings()


def test_every_route_documents_its_problems(app: FastAPI):
    description = app.openapi()

    assert "Problem" in description["components"]["schemas"]
    assert "HTTPValidationError" not in description["components"]["schemas"]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/v1/") and not path.startswith("/v1/log/"):
                missing = {"400", "401", "403", "413", "422", "503"} - operation["responses"].keys()
                assert not missing, (method, path, missing)
