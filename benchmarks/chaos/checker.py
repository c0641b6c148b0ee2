"""Looks, without the product's code, for what a campaign broke: in the database, the store and the ledger.

It knows the schema, the states a request may pass, RFC 6962's tree hash, and what the clients were promised;
nothing else is shared with what it checks. Each finding is one sentence. It is run when everything rests.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

AFTER = {
    None: {"received"},
    "received": {"held", "queued", "rejected", "cancelled", "completed"},
    "held": {"queued", "rejected", "cancelled"},
    "queued": {"running", "completed", "cancelled", "failed"},
    "running": {"auditing", "queued", "needs_review", "failed", "cancelled"},
    "auditing": {"completed", "running", "queued", "needs_review", "failed", "cancelled"},
    "needs_review": {"queued", "rejected", "completed"},
    "failed": {"queued", "rejected"},
}
ENDS = {"completed", "cancelled", "rejected"}


@dataclass(frozen=True)
class Promise:
    """An accepted request: its id, and the place of its acceptance among all of its model's."""

    request_id: str
    model: str
    place: int


def findings(engine: Engine, store: Path, promises: Sequence[Promise]) -> list[str]:
    """Return everything that is not as it was promised; empty if all is well."""
    with engine.connect() as connection:
        return [
            *_lost(connection, promises),
            *_doubled(connection),
            *_disordered(connection, promises),
            *_unfinished(connection),
            *_ledger(connection),
            *_store(connection, store),
        ]


def _rows(connection: Connection, query: str) -> list[Any]:
    return list(connection.execute(text(query)).all())


def _lost(connection: Connection, promises: Sequence[Promise]) -> Iterator[str]:
    states = {str(row.id): row.status for row in _rows(connection, "SELECT id, status FROM forget_requests")}
    for promise in promises:
        state = states.get(promise.request_id)
        if state is None:
            yield f"request {promise.request_id} was accepted and is lost"
        elif state not in ENDS:
            yield f"request {promise.request_id} rests as {state}"


def _doubled(connection: Connection) -> Iterator[str]:
    for row in _rows(
        connection,
        "SELECT model_id, count(*) AS versions, max(number) AS highest, count(DISTINCT run_id) AS runs "
        "FROM versions GROUP BY model_id",
    ):
        if row.versions != row.highest:
            yield f"model {row.model_id} has {row.versions} versions, the highest is {row.highest}"
        if row.runs != row.versions - 1:
            yield f"model {row.model_id} has {row.versions - 1} versions by runs, made by {row.runs} runs"
    for row in _rows(
        connection,
        "SELECT r.id, r.version, v.run_id FROM runs r JOIN versions v ON v.model_id = r.model_id "
        "AND v.number = r.version WHERE r.state = 'published' AND v.run_id IS DISTINCT FROM r.id",
    ):
        yield f"run {row.id} says it published version {row.version}, which names run {row.run_id}"
    for row in _rows(
        connection,
        "SELECT model_id, count(*) AS published FROM versions WHERE state = 'published' "
        "GROUP BY model_id HAVING count(*) <> 1",
    ):
        yield f"model {row.model_id} has {row.published} published versions at once"
    for row in _rows(
        connection,
        "SELECT q.id FROM forget_requests q JOIN runs r ON r.id = q.run_id LEFT JOIN certificates c "
        "ON c.request_id = q.id WHERE q.status = 'completed' AND q.reason IS NULL AND c.request_id IS NULL",
    ):
        yield f"request {row.id} was completed without a certificate"


def _disordered(connection: Connection, promises: Sequence[Promise]) -> Iterator[str]:
    versions = {
        str(row.id): row.version
        for row in _rows(
            connection,
            "SELECT q.id, r.version FROM forget_requests q JOIN runs r ON r.id = q.run_id "
            "WHERE q.status = 'completed' AND q.reason IS NULL",
        )
    }
    for model in {promise.model for promise in promises}:
        served = [
            promise
            for promise in sorted(promises, key=lambda each: each.place)
            if promise.model == model and promise.request_id in versions
        ]
        for earlier, later in pairwise(served):
            if versions[later.request_id] < versions[earlier.request_id]:
                yield f"request {later.request_id} overtook {earlier.request_id} at model {model}"


def _unfinished(connection: Connection) -> Iterator[str]:
    for row in _rows(connection, "SELECT id, kind, state, reason FROM jobs WHERE state <> 'done'"):
        yield f"job {row.id} ({row.kind}) is {row.state}: {row.reason}"
    for row in _rows(connection, "SELECT id, state FROM runs WHERE finished_at IS NULL"):
        yield f"run {row.id} is {row.state} and will never end"


def _ledger(connection: Connection) -> Iterator[str]:
    entries = _rows(
        connection, "SELECT id, entry, request_id, leaf_index FROM ledger_entries ORDER BY leaf_index"
    )
    if any(row.leaf_index is None for row in entries):
        yield "some ledger entries have no place in the tree"
        return
    if [row.leaf_index for row in entries] != list(range(len(entries))):
        yield "the places of the ledger's entries have gaps"
    head = connection.execute(
        text("SELECT size, note FROM ledger_checkpoints ORDER BY size DESC LIMIT 1")
    ).one()
    _origin, size, root = bytes(head.note).decode().split("\n")[:3]
    if int(size) != len(entries):
        yield f"the last checkpoint is of {size} entries, there are {len(entries)}"
    if base64.b64decode(root) != _tree_hash([bytes(row.entry) for row in entries]):
        yield "the last checkpoint's root is not that of the entries"
    yield from _stories(entries)


def _stories(entries: Sequence[Any]) -> Iterator[str]:
    """Follow each request through its entries in the order of their transactions."""
    state: dict[uuid.UUID, str | None] = {}
    for row in sorted(entries, key=lambda each: each.id):
        record = json.loads(bytes(row.entry))
        if row.request_id is None or not record["kind"].startswith("request."):
            continue
        step = record["kind"].removeprefix("request.")
        if step == "extended":
            continue
        before = state.get(row.request_id)
        if step not in AFTER.get(before, set()):
            yield f"request {row.request_id} went from {before} to {step}"
        state[row.request_id] = step


def _tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of RFC 6962, section 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def _store(connection: Connection, store: Path) -> Iterator[str]:
    wanted: dict[str, set[str]] = {}
    for row in _rows(
        connection,
        "SELECT v.model_id, f.sha256 FROM version_files f JOIN versions v ON v.id = f.version_id "
        "WHERE v.state = 'published'",
    ):
        wanted.setdefault(row.model_id.hex, set()).add(row.sha256)
    for space in sorted(path for path in store.iterdir() if path.is_dir()):
        files = {path.name: path for path in space.rglob("*") if path.is_file()}
        living = wanted.get(space.name, set())
        for name in sorted(living - files.keys()):
            yield f"file {name[:12]} of a published version of {space.name} is not in the store"
        for name in sorted(files.keys() - living):
            yield f"file {name[:24]} in {space.name} belongs to no published version"
        for name in sorted(files.keys() & living):
            if hashlib.sha256(files[name].read_bytes()).hexdigest() != name:
                yield f"file {name[:12]} of {space.name} is not what its name says"
