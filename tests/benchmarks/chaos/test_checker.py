"""The campaign's checker finds each thing it is there to find."""

import hashlib

import pytest
from sqlalchemy import Engine, text

from benchmarks.chaos.checker import Promise, findings
from service.core.db.session import Sessions, transaction
from service.core.ledger import repository as ledger
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel, Signer


class World:
    """Two requests of one model, served one after the other; everything rests."""

    def __init__(self, kernel: Kernel, model: ReadyModel, engine: Engine, store, signer: Signer) -> None:
        self.engine, self.store = engine, store
        self.promises = []
        for place, position in enumerate((1, 7)):
            request = kernel.ask_samples(model, position)
            kernel.serve(model)
            self.promises.append(Promise(str(request.id), model.name, place))
        with transaction(kernel.sessions) as session:
            ledger.sequence(session, signer)
        self.change("UPDATE jobs SET state = 'done'")
        self._write_store(model)

    def change(self, statement: str) -> None:
        """Break something."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def found(self) -> str:
        """Return what the checker says, as one text."""
        return "\n".join(findings(self.engine, self.store, self.promises))

    def _write_store(self, model: ReadyModel) -> None:
        folder = self.store / model.id.hex
        folder.mkdir(parents=True)
        with self.engine.connect() as connection:
            living = connection.execute(
                text(
                    "SELECT f.version_id, f.name FROM version_files f JOIN versions v ON v.id = f.version_id "
                    "WHERE v.state = 'published'"
                )
            ).all()
        for row in living:
            digest = hashlib.sha256(row.name.encode()).hexdigest()
            (folder / digest).write_bytes(row.name.encode())
            self.change(
                f"UPDATE version_files SET sha256 = '{digest}' "
                f"WHERE version_id = '{row.version_id}' AND name = '{row.name}'"
            )


@pytest.fixture
def world(kernel: Kernel, digits: ReadyModel, engine: Engine, sessions: Sessions, signer: Signer, tmp_path):
    return World(kernel, digits, engine, tmp_path / "store", signer)


def test_a_world_in_which_all_went_well_gives_no_finding(world):
    assert world.found() == ""


def test_a_promised_request_that_is_not_there_is_lost(world):
    world.promises.append(Promise("00000000-0000-0000-0000-000000000000", "digits", 2))

    assert "was accepted and is lost" in world.found()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE forget_requests SET status = 'failed'", "rests as failed"),
        ("DELETE FROM certificates", "was completed without a certificate"),
        ("UPDATE versions SET state = 'published'", "published versions at once"),
        ("UPDATE versions SET number = 7 WHERE number = 3", "the highest is 7"),
        ("UPDATE versions SET run_id = NULL WHERE number = 3", "2 versions by runs, made by 1 runs"),
        (
            "UPDATE versions SET run_id = (SELECT min(id::text)::uuid FROM runs) WHERE number = 3",
            "which names run",
        ),
        ("UPDATE runs SET version = 5 - version", "overtook"),
        ("UPDATE jobs SET state = 'parked', reason = 'poison'", "is parked: poison"),
        ("UPDATE runs SET finished_at = NULL", "will never end"),
        ("UPDATE ledger_entries SET leaf_index = NULL", "have no place"),
        ("DELETE FROM ledger_entries WHERE leaf_index = 1", "have gaps"),
        ("UPDATE ledger_entries SET entry = entry || ' ' WHERE leaf_index = 1", "root is not"),
        (
            "DELETE FROM ledger_entries WHERE convert_from(entry, 'UTF8') LIKE '%\"request.running\"%'",
            "went from queued to auditing",
        ),
    ],
)
def test_each_broken_promise_is_found(world, statement: str, finding: str):
    world.change(statement)

    assert finding in world.found()


def test_a_file_that_is_gone_left_over_or_altered_is_found(world):
    files = sorted(path for path in world.store.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].write_bytes(b"other")
    (files[1].parent / ".partial-x").write_bytes(b"")

    found = world.found()

    assert "is not in the store" in found
    assert "is not what its name says" in found
    assert "belongs to no published version" in found
