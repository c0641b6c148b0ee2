"""API keys: shown once, kept as digests, ended at once, and good for their scopes only."""

import uuid

import pytest
from sqlalchemy import text

from service.core import errors
from service.core.access import service as access
from service.core.access.models import Scope
from service.core.access.service import Principal
from service.core.db.session import Sessions, transaction

ADMIN_KEY = "the operator's own key"


def test_key_lets_its_holder_in_with_its_scopes(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        row, secret = access.create_key(
            session, "privacy desk", [Scope.REQUESTS_WRITE, Scope.REQUESTS_READ, Scope.REQUESTS_READ]
        )

    principal = enter(sessions, secret)

    assert principal == Principal(
        str(row.id), "privacy desk", frozenset({Scope.REQUESTS_READ, Scope.REQUESTS_WRITE})
    )
    assert secret.startswith("lethe_")


def test_secret_is_kept_nowhere(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        _, secret = access.create_key(session, "desk", [Scope.ADMIN])

    with transaction(sessions) as session:
        (row,) = session.scalars(text("SELECT api_keys::text FROM api_keys"))
    assert secret.removeprefix("lethe_") not in row
    assert access.digest_of(secret) in row


def test_no_two_keys_are_alike(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        secrets = {access.create_key(session, "desk", [])[1] for _ in range(20)}

    assert len(secrets) == 20


@pytest.mark.parametrize("secret", ["", "lethe_unknown", "the operator's own ke", "\ud800", "ключ"])
def test_unknown_secret_is_refused(sessions: Sessions, secret: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        enter(sessions, secret)


def test_revoked_key_ends_at_once_and_stays_listed(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        kept, _ = access.create_key(session, "kept", [])
        ended, secret = access.create_key(session, "ended", [])
    with transaction(sessions) as session:
        access.revoke_key(session, ended.id)
    with transaction(sessions) as session:
        first_time = [key.revoked_at for key in access.list_keys(session)]
        access.revoke_key(session, ended.id)

    with pytest.raises(errors.Unauthenticated):
        enter(sessions, secret)
    with transaction(sessions) as session:
        keys = access.list_keys(session)
    assert [key.id for key in keys] == [kept.id, ended.id]
    assert [key.revoked_at for key in keys] == first_time
    assert first_time[0] is None
    assert first_time[1] is not None


def test_unknown_key_cannot_be_revoked(sessions: Sessions) -> None:
    with pytest.raises(errors.NotFound), transaction(sessions) as session:
        access.revoke_key(session, uuid.uuid4())


def test_admin_key_may_do_everything(sessions: Sessions) -> None:
    principal = enter(sessions, ADMIN_KEY)

    assert principal.id == "admin"
    assert all(principal.may(scope) for scope in Scope)


def test_installation_without_an_admin_key_is_no_open_door(sessions: Sessions) -> None:
    with pytest.raises(errors.Unauthenticated), transaction(sessions) as session:
        access.authenticate(session, "", admin_key="")


@pytest.mark.parametrize("held", [scope for scope in Scope if scope != Scope.ADMIN])
def test_scope_grants_itself_and_no_other(held: Scope) -> None:
    principal = Principal("id", "name", frozenset({held}))

    assert {scope for scope in Scope if principal.may(scope)} == {held}


def enter(sessions: Sessions, secret: str) -> Principal:
    """Present a secret at the door."""
    with transaction(sessions) as session:
        return access.authenticate(session, secret, ADMIN_KEY)
