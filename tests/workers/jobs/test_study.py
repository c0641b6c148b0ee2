"""The study job: a turn commits what it made and enqueues the next, and nobody waits for it long."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.leases import Lease
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import repository as registry
from service.core.registry.models import Model
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import ReadyModel
from workers.engine import messages
from workers.engine.client import AlwaysOn, Engine, Pulse
from workers.engine.messages import StoredFile, StudyReply
from workers.jobs import study as job
from workers.jobs.context import Context
from workers.jobs.purge import purge
from workers.jobs.study import study
from workers.settings import WorkerSettings

PROMISE = {"kind": "class", "text": "class requests: exact only"}


@pytest.fixture
def context(
    sessions: Sessions, store: FilesystemStore, signatory: Signatory, tmp_path: Path, database_url: str
) -> Context:
    settings = WorkerSettings(database_url=database_url, data_dir=tmp_path, broker_url="redis://127.0.0.1:1")
    return Context(settings, sessions, store, Engine(deadline_seconds=1.0), signatory, owner="tester")


class StudiousEngine:
    """An engine whose turn makes a bank of given bytes, after whatever else happens meanwhile."""

    def __init__(
        self,
        store: FilesystemStore,
        *,
        bank: bytes = b"a bank",
        is_done: bool = False,
        meanwhile: Callable[[Pulse], None] = lambda pulse: None,
    ) -> None:
        self._store = store
        self._bank = bank
        self._is_done = is_done
        self._meanwhile = meanwhile
        self.asked: list[messages.Study] = []

    def call(self, asked: messages.Study, _expected: object, pulse: Pulse, _progress: object) -> StudyReply:
        """Answer."""
        self.asked.append(asked)
        self._meanwhile(pulse)
        stored = self._store.put(asked.model.space, [self._bank])
        bank = StoredFile(
            name="prepared/bank.safetensors", sha256=stored.sha256, size=stored.size, is_public=False
        )
        return StudyReply(
            files=(bank,),
            is_done=self._is_done,
            seconds=2.5,
            given_up={},
            references={"members": 2, "classes": []},
            promise=[PROMISE],
            left_out=(),
        )


def with_engine(context: Context, engine: StudiousEngine) -> Context:
    return replace(context, engine=engine)  # type: ignore[arg-type]


def claim_study(sessions: Sessions, model: ReadyModel) -> Lease:
    """Claim the model's study, once all that goes before it is finished."""
    while True:
        with transaction(sessions) as session:
            lease = leases.claim(session, queue.enqueue(session, model.id, JobKind.STUDY), "tester", 30.0)
            assert lease is not None
            if lease.kind == JobKind.STUDY:
                return lease
            endings.finish(session, lease)


def private_files(sessions: Sessions, model: ReadyModel, number: int = 1) -> dict[str, str]:
    with transaction(sessions) as session:
        version = registry.version_numbered(session, model.id, number)
        return {file.name: file.sha256 for file in registry.files_of(session, version.id, public=False)}


def waiting(sessions: Sessions, model: ReadyModel) -> list[JobKind]:
    with transaction(sessions) as session:
        ready = select(Job.kind).where(Job.model_id == model.id, Job.state == JobState.READY)
        return [JobKind(kind) for kind in session.scalars(ready.order_by(Job.position))]


def facts(sessions: Sessions, model: ReadyModel) -> dict[str, object]:
    with transaction(sessions) as session:
        found: dict[str, object] = registry.version_numbered(session, model.id, 1).facts["study"]
        return found


def test_a_turn_commits_what_it_made_and_enqueues_the_next(
    context: Context, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    engine = StudiousEngine(store)

    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())
    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())

    assert private_files(sessions, digits).keys() == {
        "prepared/bank.safetensors",
        "prepared/codes.safetensors",
    }
    assert JobKind.STUDY in waiting(sessions, digits)
    assert facts(sessions, digits)["promise"] == [PROMISE]
    assert facts(sessions, digits)["seconds"] == 5.0
    assert engine.asked[1].seconds_left == engine.asked[0].seconds_left - 2.5
    assert "prepared/bank.safetensors" in {file.name for file in engine.asked[1].base}


def test_a_study_that_is_done_ends(
    context: Context, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    engine = StudiousEngine(store, is_done=True)

    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())

    assert JobKind.STUDY not in waiting(sessions, digits)


def test_what_a_turn_replaces_is_purged(
    context: Context, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    study(with_engine(context, StudiousEngine(store)), claim_study(sessions, digits), AlwaysOn())
    old = private_files(sessions, digits)["prepared/bank.safetensors"]
    with transaction(sessions) as session:
        purge_lease = leases.claim(session, queue.enqueue(session, digits.id, JobKind.PURGE), "tester", 30.0)
    assert purge_lease is not None
    purge(context, purge_lease, AlwaysOn())
    assert old in store.digests(digits.id.hex), "what is served needs it"

    larger = StudiousEngine(store, bank=b"a larger bank", is_done=True)
    study(with_engine(context, larger), claim_study(sessions, digits), AlwaysOn())
    with transaction(sessions) as session:
        purge_lease = leases.claim(session, queue.enqueue(session, digits.id, JobKind.PURGE), "tester", 30.0)
    assert purge_lease is not None and purge_lease.kind == JobKind.PURGE
    purge(context, purge_lease, AlwaysOn())

    assert old not in store.digests(digits.id.hex)


def test_the_bank_of_a_withdrawn_version_stands_in_its_receipt(
    context: Context, kernel: Kernel, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    engine = StudiousEngine(store, is_done=True)
    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())
    bank = private_files(sessions, digits)["prepared/bank.safetensors"]
    kernel.ask_classes(digits, 2)
    kernel.serve(digits)
    with transaction(sessions) as session:
        lease = leases.claim(session, queue.enqueue(session, digits.id, JobKind.PURGE), "tester", 30.0)
    assert lease is not None and lease.kind == JobKind.PURGE

    purge(context, lease, AlwaysOn())

    assert bank not in store.digests(digits.id.hex)


def test_a_version_that_is_no_longer_served_gets_nothing_and_the_next_turn_starts_on_the_new_one(
    context: Context, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    def publish(_: Pulse) -> None:
        with transaction(sessions) as session:
            session.get_one(Model, digits.id).served_version = 2

    engine = StudiousEngine(store, is_done=True, meanwhile=publish)
    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())

    assert private_files(sessions, digits).keys() == {"prepared/codes.safetensors"}
    assert waiting(sessions, digits) == [JobKind.STUDY]


def test_a_turn_whose_lease_was_lost_changes_nothing(
    context: Context, kernel: Kernel, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    lease = claim_study(sessions, digits)
    engine = StudiousEngine(store, meanwhile=lambda pulse: kernel.lose(lease))

    with pytest.raises(errors.LeaseLost):
        study(with_engine(context, engine), lease, AlwaysOn())

    assert private_files(sessions, digits).keys() == {"prepared/codes.safetensors"}


def test_the_engine_is_told_when_a_request_waits_and_stopped_when_it_waits_long(
    context: Context,
    kernel: Kernel,
    sessions: Sessions,
    store: FilesystemStore,
    digits: ReadyModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(job, "PATIENCE_SECONDS", 0.0)
    told: list[bool] = []

    def work(pulse: Pulse) -> None:
        path = Path(engine.asked[0].give_way_path)
        pulse.check()
        told.append(path.exists())
        kernel.ask_classes(digits, 2)
        pulse.check()
        told.append(path.exists())
        pulse.check()

    engine = StudiousEngine(store, meanwhile=work)
    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())

    assert told == [False, True]
    assert {*waiting(sessions, digits)} == {JobKind.UNLEARN, JobKind.STUDY}
    assert private_files(sessions, digits).keys() == {"prepared/codes.safetensors"}
    assert float(str(facts(sessions, digits)["seconds"])) > 0, (
        "time that was thrown away is spent all the same"
    )
    assert not Path(engine.asked[0].give_way_path).exists()


def test_a_policy_without_time_for_it_lets_no_engine_study(
    context: Context, sessions: Sessions, store: FilesystemStore, digits: ReadyModel
) -> None:
    with transaction(sessions) as session:
        model = session.get_one(Model, digits.id)
        model.policy = {**model.policy, "study_seconds": 0}
    engine = StudiousEngine(store)

    study(with_engine(context, engine), claim_study(sessions, digits), AlwaysOn())

    assert engine.asked == [] and waiting(sessions, digits) == []
