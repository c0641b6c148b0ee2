"""Callers that are remembered: known without a query, ended by a notice, a lost line, or their age."""

import time
import uuid

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select, text, update
from starlette.testclient import TestClient

from service.core import clock
from service.core.access import service as access
from service.core.access.models import ApiKey
from service.core.db.session import Sessions, transaction
from tests.fixtures.api import AS_ADMIN, MakeKey, statements

AGES = 1000.0
PATIENCE_SECONDS = 20.0


@pytest.fixture
def key(api: TestClient, make_key: MakeKey) -> dict[str, str]:
    """A key that has been used."""
    header = make_key("models:read")
    assert api.get("/v1/models", headers=header).status_code == 200
    return header


def only_key(sessions: Sessions) -> uuid.UUID:
    """The id of the one key there is."""
    with transaction(sessions) as session:
        return session.scalars(select(ApiKey.id)).one()


def revoke_silently(sessions: Sessions) -> None:
    """End all keys as a hand in the database would, without telling anybody."""
    with transaction(sessions) as session:
        session.execute(update(ApiKey).values(revoked_at=clock.now()))


def is_refused_soon(api: TestClient, key: dict[str, str]) -> bool:
    """Whether a key is refused before patience ends."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while api.get("/v1/models", headers=key).status_code != 401:
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.01)
    return True


def test_a_known_caller_costs_no_query(app: FastAPI, api: TestClient, key: dict[str, str]):
    with statements(app) as asked:
        for header in (key, AS_ADMIN):
            assert app.state.kernel.callers.known(header["Authorization"].split()[1]) is not None
            assert api.get("/v1/api-keys/x", headers=header).status_code == 405

    assert asked == []


def test_no_secret_is_remembered(app: FastAPI, key: dict[str, str]):
    kept = app.state.kernel.callers.remembered._kept

    assert list(kept) == [access.digest_of(key["Authorization"].split()[1])]
    assert key["Authorization"].split()[1] not in repr(kept)


def test_strangers_are_not_remembered(app: FastAPI, api: TestClient):
    for number in range(20):
        header = {"Authorization": f"Bearer stranger-{number}"}
        assert api.get("/v1/models", headers=header).status_code == 401

    assert not app.state.kernel.callers.remembered._kept


def test_a_key_revoked_elsewhere_ends_when_that_is_heard(
    app: FastAPI, api: TestClient, sessions: Sessions, key: dict[str, str]
):
    app.state.kernel.callers.remembered.seconds = AGES

    with transaction(sessions) as session:
        access.revoke_key(session, only_key(sessions))

    assert is_refused_soon(api, key)


def test_a_key_revoked_while_nothing_was_heard_ends_with_the_line(
    app: FastAPI, api: TestClient, sessions: Sessions, key: dict[str, str], engine: Engine
):
    app.state.kernel.callers.remembered.seconds = AGES
    revoke_silently(sessions)
    assert api.get("/v1/models", headers=key).status_code == 200

    with engine.begin() as connection:
        listening = text(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        for pid in connection.scalars(listening).all():
            connection.execute(select(func.pg_terminate_backend(pid)))

    assert is_refused_soon(api, key)


def test_a_key_revoked_without_a_word_ends_by_age(
    app: FastAPI, api: TestClient, sessions: Sessions, key: dict[str, str]
):
    revoke_silently(sessions)
    app.state.kernel.callers.remembered.seconds = 0.1

    assert is_refused_soon(api, key)
