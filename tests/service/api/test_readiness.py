"""Ready: database, migrations and store are in order. Degraded: there is no relay or no worker."""

from pathlib import Path

from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from service.core.db.session import Sessions, transaction
from service.core.fleet import repository as fleet
from service.core.fleet.models import Role
from service.core.fleet.repository import Sighting
from service.main import create_app
from service.settings import ServiceSettings
from tests.fixtures.api import NO_DATABASE


def test_a_service_in_order_is_ready_and_leaves_no_trace(api: TestClient, service_settings: ServiceSettings):
    answer = api.get("/readyz", headers={"Authorization": ""})

    assert answer.status_code == 200
    assert answer.json()["checks"].items() >= {"database": None, "store": None}.items()
    assert [file for file in service_settings.store_dir.rglob("*") if file.is_file()] == []


def test_a_service_that_nobody_works_for_is_ready_and_degraded(api: TestClient, sessions: Sessions):
    with transaction(sessions) as session:
        fleet.note(session, Sighting("a:1:relay", Role.RELAY, "a", 1))

    answer = api.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["relay"] is None
    assert "accepted and wait" in answer.json()["checks"]["worker"]


def test_with_relay_and_worker_all_is_well(api: TestClient, sessions: Sessions):
    with transaction(sessions) as session:
        fleet.note(session, Sighting("a:1:relay", Role.RELAY, "a", 1))
        fleet.note(session, Sighting("a:2", Role.WORKER, "a", 2))

    answer = api.get("/readyz")

    assert answer.json() == {
        "status": "ok",
        "checks": {"database": None, "store": None, "relay": None, "worker": None},
    }


def test_probes_in_quick_succession_ask_the_database_once(api: TestClient, engine: Engine):
    assert api.get("/readyz").status_code == 200
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'long_ago'"))

    assert api.get("/readyz").status_code == 200


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
