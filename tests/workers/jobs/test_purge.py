"""The purge deletes what no living version needs, leaves a receipt, and obeys the fence."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import entries
from service.core.ledger.models import LedgerEntry
from service.core.queue import leases
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind
from service.core.registry.models import Model, Version, VersionFile, VersionState
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import PARTIAL, FilesystemStore
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel
from workers.engine import messages
from workers.engine.client import AlwaysOn, Engine
from workers.jobs.context import Context
from workers.jobs.purge import purge
from workers.settings import WorkerSettings


@pytest.fixture
def context(
    sessions: Sessions, store: FilesystemStore, signatory: Signatory, tmp_path: Path, database_url: str
) -> Context:
    settings = WorkerSettings(database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1")
    return Context(settings, sessions, store, Engine(deadline_seconds=1.0), signatory, owner="tester")


def claim_purge(sessions: Sessions, model: ReadyModel) -> Lease:
    with transaction(sessions) as session:
        job_id = session.scalars(
            select(Job.id).where(Job.model_id == model.id, Job.kind == JobKind.PURGE)
        ).one()
        lease = leases.claim(session, job_id, "tester", 30.0)
    assert lease is not None and lease.kind == JobKind.PURGE
    return lease


def keep(sessions: Sessions, store: FilesystemStore, model: ReadyModel, number: int, data: bytes) -> str:
    """Store bytes as a file of a version and return their digest."""
    with transaction(sessions) as session:
        space = session.get_one(Model, model.id).space
        version_id = session.scalars(
            select(Version.id).where(Version.model_id == model.id, Version.number == number)
        ).one()
        stored = store.put(space, [data])
        session.add(
            VersionFile(
                version_id=version_id,
                name=f"extra-{stored.sha256[:6]}",
                sha256=stored.sha256,
                size=stored.size,
                is_public=False,
            )
        )
    return stored.sha256


def test_a_purge_deletes_what_only_the_withdrawn_version_needs_and_leaves_a_receipt(
    context: Context, kernel: Kernel, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    old = keep(sessions, store, digits, 1, b"knows")
    shared = keep(sessions, store, digits, 1, b"needed by both")
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)
    keep(sessions, store, digits, 2, b"needed by both")
    orphan = store.put(digits.id.hex, [b"a candidate that was refused"]).sha256
    unfinished = store.root / digits.id.hex / f"{PARTIAL}of-a-killed-writer"
    unfinished.write_bytes(b"knows half")

    purge(context, claim_purge(sessions, digits), AlwaysOn())

    assert {*store.digests(digits.id.hex)} == {shared}
    assert {old, orphan}.isdisjoint(store.digests(digits.id.hex))
    assert not unfinished.exists()
    with transaction(sessions) as session:
        states = session.scalars(
            select(Version.state).where(Version.model_id == digits.id).order_by(Version.number)
        ).all()
        last = entries.parse(
            session.scalars(select(LedgerEntry.entry).order_by(LedgerEntry.id.desc())).first()
        )
    assert states == [VersionState.PURGED, VersionState.PUBLISHED]
    assert (last.kind, last.body["version"], last.body["bytes"]) == ("version.purged", 1, len(b"knows"))


def test_a_purge_whose_lease_was_lost_deletes_nothing(
    context: Context, kernel: Kernel, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    old = keep(sessions, store, digits, 1, b"knows")
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)
    lease = claim_purge(sessions, digits)
    kernel.lose(lease)

    with pytest.raises(errors.LeaseLost):
        purge(context, lease, AlwaysOn())

    assert {*store.digests(digits.id.hex)} == {old}


class SweepingEngine:
    """An engine that names files to delete, and remembers what it was asked."""

    def __init__(self, *files: str) -> None:
        self.files = files
        self.asked: list[messages.Sweep] = []

    def call(self, asked: messages.Sweep, *_rest: object) -> messages.SweepReply:
        """Answer."""
        self.asked.append(asked)
        return messages.SweepReply(files=self.files)


def test_states_of_a_training_in_shards_that_saw_the_forgotten_go_with_the_version(
    context: Context, kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    engine = SweepingEngine("t/knows.safetensors", "t/gone-already.safetensors")
    folder = context.settings.slices_dir / "t"
    folder.mkdir(parents=True)
    for name in ("knows.safetensors", "never-saw-it.safetensors"):
        (folder / name).write_bytes(b"weights")
    with transaction(sessions) as session:
        model = session.get_one(Model, digits.id)
        model.training = {**model.training, "shards": 3}
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)

    purge(replace(context, engine=engine), claim_purge(sessions, digits), AlwaysOn())  # type: ignore[arg-type]

    assert [file.name for file in folder.iterdir()] == ["never-saw-it.safetensors"]
    assert engine.asked[0].forgotten_positions
    with transaction(sessions) as session:
        last = entries.parse(
            session.scalars(select(LedgerEntry.entry).order_by(LedgerEntry.id.desc())).first()
        )
    assert (last.kind, last.body["bytes"]) == ("version.purged", len(b"weights"))


def test_no_engine_is_asked_for_a_model_without_shards(
    context: Context, kernel: Kernel, sessions: Sessions, digits: ReadyModel
) -> None:
    engine = SweepingEngine()
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)

    purge(replace(context, engine=engine), claim_purge(sessions, digits), AlwaysOn())  # type: ignore[arg-type]

    assert engine.asked == []
