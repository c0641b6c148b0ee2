"""The database after intake holds no raw sample or subject id, nor anything that gives one away unkeyed."""

import hashlib
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.requests.states import Status
from tests.fixtures.forgetting import Kernel, samples, subject
from tests.fixtures.registry import ReadyModel

TEXTUAL = ("text", "character varying", "json", "jsonb", "bytea", "uuid", "ARRAY", "name")


def test_no_identifier_is_found_anywhere_after_intake(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    sample_id, subject_id = digits.sample_ids(5)[0], "digits-person-3"
    bodies = [
        json.dumps({"target": {"sample_ids": [sample_id]}}).encode(),
        json.dumps({"target": {"subject_id": subject_id}}).encode(),
        json.dumps({"target": {"subject_id": "nobody-canary"}}).encode(),
    ]

    kernel.ask(digits.name, samples(sample_id), key="one", body=bodies[0])
    kernel.ask(digits.name, subject(subject_id), key="two", body=bodies[1])
    kernel.ask(digits.name, subject("nobody-canary"), key="three", body=bodies[2])
    with pytest.raises(errors.Invalid):
        kernel.ask(digits.name, samples(sample_id, "unknown-canary"), key="four")

    secrets = [sample_id.encode(), subject_id.encode(), b"canary", *bodies]
    secrets += [spelling for secret in secrets for spelling in unkeyed_digests(secret)]
    cells = list(everything(sessions))
    tables = {place.partition(".")[0] for place, _ in cells}
    assert {"forget_requests", "idempotency_keys", "jobs", "ledger_entries", "samples"} <= tables
    found = [(place, secret) for place, cell in cells for secret in secrets if secret in cell]
    assert found == []


def test_the_scan_finds_what_is_kept_on_purpose(
    kernel: Kernel, sessions: Sessions, digits: ReadyModel, pseudonymiser: Pseudonymiser
) -> None:
    request = kernel.ask_samples(digits, 5)

    pseudonym = bytes.fromhex(pseudonymiser.sample("digits", digits.sample_ids(5)[0]))
    cells = list(everything(sessions))
    assert [place for place, cell in cells if pseudonym in cell] == ["samples.pseudonym"]
    assert {place for place, cell in cells if str(request.id).encode() in cell} == {
        "forget_requests.id",
        "ledger_entries.entry",
        "ledger_entries.request_id",
    }
    assert "datasets.spec" in {place for place, cell in cells if b"digits" in cell}


def test_positions_go_when_the_request_closes(kernel: Kernel, digits: ReadyModel) -> None:
    request = kernel.ask_samples(digits, 5, 6)
    assert request.positions == [5, 6]

    kernel.serve(digits)

    closed = kernel.request(request.id)
    assert (closed.status, closed.positions) == (Status.COMPLETED, None)
    assert closed.num_samples == 2


def unkeyed_digests(secret: bytes) -> Iterator[bytes]:
    """Digests by which somebody who guesses an identifier could confirm it without any key."""
    for name in ("sha256", "sha1", "md5"):
        digest = hashlib.new(name, secret)
        yield digest.digest()
        yield digest.hexdigest().encode()


def everything(sessions: Sessions) -> Iterator[tuple[str, bytes]]:
    """Every cell of every table that could hold a text, as bytes."""
    with transaction(sessions) as session:
        columns = session.execute(
            text(
                "SELECT table_name, column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'public'"
            )
        ).all()
        for table, column, kind in columns:
            if kind not in TEXTUAL:
                continue
            wanted = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
            for cell in session.scalars(text(f'SELECT {wanted} FROM "{table}" WHERE "{column}" IS NOT NULL')):
                yield f"{table}.{column}", bytes(cell)
