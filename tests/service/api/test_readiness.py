"""Ready means that database, migrations and store are in order."""

from pathlib import Path

from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import NO_DATABASE


def test_a_service_in_order_is_ready_and_leaves_no_trace(api: TestClient, service_settings: ServiceSettings):
    answer = api.get("/readyz", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": None, "store": None}}
    assert [file for file in service_settings.store_dir.rglob("*") if file.is_file()] == []


def test_a_database_that_is_out_is_named(service_settings: ServiceSettings):
    with TestClient(create_app(service_settings.model_copy(update={"database_url": NO_DATABASE}))) as client:
        answer = client.get("/readyz")
        assert client.get("/livez").status_code == 200

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["checks"]["database"] and answer.json()["checks"]["store"] is None


def test_a_database_behind_its_migrations_is_named(api: TestClient, engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'long_ago'"))

    answer = api.get("/readyz")

    assert answer.status_code == 503
    assert "migration" in answer.json()["checks"]["database"]


def test_a_store_that_cannot_be_written_is_named(api: TestClient, service_settings: ServiceSettings):
    Path(service_settings.store_dir).write_text("a file where the folder should be")

    answer = api.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["store"] and answer.json()["checks"]["database"] is None
