"""An update log is used only for versions made from it by subtraction, and erased as people are forgotten."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from service.core.db.session import Sessions, transaction
from service.core.ledger import entries
from service.core.ledger.models import LedgerEntry
from service.core.methods import repository as catalogue
from service.core.queue import leases
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind
from service.core.registry import repository as registry
from service.core.registry.models import Model, VersionFile
from service.core.requests import runs
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.forgetting import Kernel, audit_report, step
from tests.fixtures.registry import ReadyModel
from workers.engine.client import AlwaysOn, Engine
from workers.engine.messages import UpdateLogRef
from workers.jobs import records
from workers.jobs.context import UNMASKED, Context
from workers.jobs.purge import purge
from workers.preparation.update_log import record_keys
from workers.preparation.update_log.record_erasure import HEADER
from workers.preparation.update_log.record_keys import KEYS, Keys
from workers.settings import WorkerSettings

NUM_KEYS = 6


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
    assert lease is not None
    return lease


@pytest.fixture
def log(context: Context, digits: ReadyModel, sessions: Sessions) -> Path:
    """A log of the model's first version, with a key for each of some positions."""
    with transaction(sessions) as session:
        first = registry.version_numbered(session, digits.id, 1)
        (weights,) = [f.sha256 for f in registry.files_of(session, first.id) if f.name == records.WEIGHTS]
        catalogue.publish(
            session,
            [
                {
                    "name": name,
                    "version": "1",
                    "guarantee": "approximate",
                    "kinds": ["samples"],
                    "needs": needs,
                }
                for name, needs in (("amnesiac", ["update_log"]), ("ssd", []))
            ],
        )
    folder = context.settings.records_dir / weights
    folder.mkdir(parents=True)
    record_keys.create(folder, np.arange(NUM_KEYS))
    (folder / HEADER).write_text("{}")
    (folder / "records.bin").write_bytes(b"sealed")
    return folder


def forget(kernel: Kernel, model: ReadyModel, method: str, *positions: int) -> None:
    """Have a version made by a method."""
    kernel.ask_samples(model, *positions)
    lease, assignment = kernel.begin(model)
    told = {"steps": [step("samples", method)], "audit": None}
    with transaction(kernel.sessions) as session:
        runs.begin_audit(session, lease, assignment.run_id, told)
        runs.note_audit(session, lease, assignment.run_id, audit_report("pass"))
    kernel.publish(model, lease, assignment)


def usable(context: Context, sessions: Sessions, model: ReadyModel) -> UpdateLogRef | None:
    with transaction(sessions) as session:
        row = session.get_one(Model, model.id)
        return records.usable(session, context.settings.records_dir, row)


def receipt(sessions: Sessions) -> dict[str, object]:
    """The last purge's receipt."""
    with transaction(sessions) as session:
        told = session.scalars(select(LedgerEntry.entry).order_by(LedgerEntry.id.desc())).first()
    entry = entries.parse(told)
    assert entry.kind == "version.purged"
    return dict(entry.body)


def test_the_first_version_has_the_log_and_another_models_folder_is_none(
    context: Context,
    sessions: Sessions,
    digits: ReadyModel,
    log: Path,
) -> None:
    found = usable(context, sessions, digits)

    log.rename(log.with_name("0" * 64))

    assert found == UpdateLogRef(weights=log.name, subtracted=())
    assert usable(context, sessions, digits) is None


def test_a_version_made_by_subtraction_keeps_the_log_and_the_keys_of_the_forgotten_go(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    digits: ReadyModel,
    log: Path,
) -> None:
    forget(kernel, digits, "amnesiac", 1, 3)
    found = usable(context, sessions, digits)

    purge(context, claim_purge(sessions, digits), AlwaysOn())

    keys = Keys(log)
    assert found == UpdateLogRef(weights=log.name, subtracted=(1, 3))
    assert keys.is_destroyed(np.arange(NUM_KEYS)).tolist() == [False, True, False, True, False, False]
    assert receipt(sessions)["update_log"] == {"is_void": False, "keys_destroyed": 2}
    assert usable(context, sessions, digits) == found


def test_any_other_method_voids_the_log_and_the_purge_removes_all_of_it(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    digits: ReadyModel,
    log: Path,
) -> None:
    forget(kernel, digits, "ssd", 1)

    assert usable(context, sessions, digits) is None
    purge(context, claim_purge(sessions, digits), AlwaysOn())

    assert [file.name for file in log.iterdir()] == [HEADER]
    assert receipt(sessions)["update_log"] == {"is_void": True}
    assert usable(context, sessions, digits) is None


def test_a_model_without_a_log_has_no_word_of_one_in_its_receipt(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    digits: ReadyModel,
) -> None:
    kernel.ask_samples(digits, 1)
    kernel.serve(digits)

    purge(context, claim_purge(sessions, digits), AlwaysOn())

    assert "update_log" not in receipt(sessions)
    assert not (context.settings.records_dir / KEYS).exists()


def test_a_mask_by_the_way_does_not_void_the_log_for_what_starts_without_it(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    digits: ReadyModel,
    log: Path,
) -> None:
    kernel.ask_classes(digits, 3)
    kernel.serve_interim(digits, "suppressed")
    with transaction(sessions) as session:
        version = registry.version_numbered(session, digits.id, 2)
        session.add(
            VersionFile(version_id=version.id, name=UNMASKED, sha256="0" * 64, size=1, is_public=False)
        )

    assert usable(context, sessions, digits) == UpdateLogRef(weights=log.name, subtracted=())
