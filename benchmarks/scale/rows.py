"""What requests, certificates and versions leave in PostgreSQL, and what the relay's statements cost there.

Everything is written by the core's own functions, in one database that the run makes and drops; only the
10,000 models and jobs of the sweep are inserted by one statement, since a statement looks at rows, not at who
wrote them. Bytes are `pg_total_relation_size`: rows, what is stored beside them, and every index.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from benchmarks.scale.figures import Figure
from service.core import clock
from service.core.db.base import Base
from service.core.db.session import Sessions, transaction
from service.core.ledger import entries
from service.core.ledger import repository as ledger
from service.core.ledger.models import LedgerEntry
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer
from service.core.lineage import repository as lineage
from service.core.lineage.models import Split
from service.core.queue import endings, leases
from service.core.queue import repository as queue
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import service as registry
from service.core.registry.models import Model
from service.core.registry.policy import Policy
from service.core.registry.service import NamedFile, Registration
from service.core.requests import broken, intake, lifecycle, publishing, runs
from service.core.requests.certificates import Signatory
from service.core.requests.intake import Intake, Target
from service.core.requests.models import TargetKind
from service.core.storage.base import Stored

NUM_CLASSES, A_MODEL = 10, 2000  # samples of the data that models learned from
A_TRANSACTION = 50
LATER = 1000  # the first of the samples that earlier requests have not named
RUNG = {
    "steps": [
        {
            "kind": "samples",
            "method": "ssd",
            "method_version": "3",
            "parameters": {
                "rho": None,
                "alpha": None,
                "dampening": None,
                "repair": None,
                "seed": 123456789,
                "strengths": [{"class": None, "rho": 0.31, "alpha": 12.5, "dampening": 1.0}],
            },
            "guarantee": "approximate",
            "caveats": ["Repeated requests drift away from the weights that the Fishers were taken at."] * 4,
            "seconds": 1.5,
            "diagnostics": {f"samples_best_{place}": "rho=0.31 dampening=1" for place in range(5)},
        }
    ],
    "audit": None,
}
CHECK = {
    "name": "membership",
    "value": 0.5,
    "interval": [0.45, 0.55],
    "threshold": 0.6,
    "passed": True,
    "detail": "An attacker tells forgotten from unseen samples no better than by chance.",
}
AUDIT = {
    "suite": "lethe-audit/3",
    "verdict": "pass",
    "checks": [{**CHECK, "name": f"check_{n}"} for n in range(9)],
}


@dataclass
class Ground:
    """A database with models that are ready to forget.

    Attributes:
        sessions: on it.
        signatory: who signs.
        models: names of the models, which learned from one set of data.
    """

    sessions: Sessions
    signatory: Signatory
    models: Sequence[str]

    @classmethod
    def laid(cls, sessions: Sessions, num_models: int) -> "Ground":
        """Register models and publish a first version of each."""
        pseudonymiser = Pseudonymiser(b"\x07" * 32)
        signer = Signer("lethe.benchmark/log", Ed25519PrivateKey.generate())
        names = [f"model-{number}" for number in range(num_models)]
        for name in names:
            with transaction(sessions) as session:
                model = registry.register(session, _registration(name))
                if name == names[0]:
                    lineage.ingest(session, model.dataset_id, "1" * 64, _rows(pseudonymiser))
                model.num_classes = NUM_CLASSES
                registry.publish(
                    session,
                    model,
                    base_number=None,
                    files=_files(name, 1),
                    guarantee=None,
                    run_id=None,
                    facts={"accuracy": 0.97},
                )
        return cls(sessions, Signatory(signer, pseudonymiser), names)


def of_requests(ground: Ground, num: int) -> Iterator[Figure]:
    """Yield what a request takes: rows and bytes when it is received, and when it is completed."""
    before, rows_before = _sizes(ground), _counts(ground)
    began = time.process_time()
    for start in range(0, num, A_TRANSACTION):
        with transaction(ground.sessions) as session:
            for number in range(start, min(start + A_TRANSACTION, num)):
                _receive(session, ground, number)
    seconds = time.process_time() - began
    received, rows = _sizes(ground), _counts(ground)
    yield Figure("request_rows", [sum(rows.values()) / num - sum(rows_before.values()) / num], "rows")
    yield Figure("request_bytes", [_grown(before, received) / num], "B")
    yield Figure("intake_cpu_ms", [1000 * seconds / num], "ms")
    _print_grown("received requests", before, received, num)
    began = time.perf_counter()
    per_run, num_versions = _complete(ground)
    completed = _sizes(ground)
    _print_grown("their completion", received, completed, num)
    yield Figure("completion_bytes", [_grown(received, completed) / num], "B")
    yield Figure("completion_cpu_ms", [1000 * per_run / num], "ms")
    yield Figure("requests_a_version", [num / num_versions], "requests")


def of_versions(ground: Ground, num: int) -> Iterator[Figure]:
    """Yield what a version leaves, its run and its jobs included, when it serves one request."""
    before = _sizes(ground)
    for number in range(num):
        with transaction(ground.sessions) as session:
            _receive(session, ground, LATER * len(ground.models) + number)
        _complete(ground)
    after = _sizes(ground)
    _print_grown("versions of one request each", before, after, num)
    yield Figure("version_and_request_bytes", [_grown(before, after) / num], "B")


def of_sequencing(ground: Ground, num: int, repeats: int) -> Iterator[Figure]:
    """Yield entries a second, and how long an UPDATE an entry alone takes as a share of all that."""
    _sequence_all(ground)
    ours, theirs = [], []
    for _ in range(repeats):
        _append(ground, num)
        began = time.perf_counter()
        _place_one_by_one(ground)
        theirs.append(time.perf_counter() - began)
        began = time.perf_counter()
        _sequence_all(ground)
        ours.append(time.perf_counter() - began)
    yield Figure("sequenced_a_second", [num / each for each in ours], "1/s")
    # Theirs is the UPDATEs alone, ours is all of sequencing, its one UPDATE included.
    yield Figure("one_by_one_of_sequencing", [a / b for a, b in zip(theirs, ours, strict=True)], "ratio")


def of_sequencing_many(ground: Ground, num: int) -> Iterator[Figure]:
    """Yield entries a second, and bytes an entry, of a long backlog."""
    before = _sizes(ground)
    _append(ground, num)
    began = time.perf_counter()
    _sequence_all(ground)
    seconds = time.perf_counter() - began
    yield Figure("backlog_sequenced_a_second", [num / seconds], "1/s")
    after = _sizes(ground)
    _print_grown("ledger entries of 250 bytes", before, after, num)
    yield Figure("ledger_entry_bytes", [_grown(before, after) / num], "B")
    tiles = after["ledger_tiles"] - before["ledger_tiles"]
    yield Figure("ledger_tile_bytes", [tiles / num], "B")


def of_sweeps(ground: Ground, num_models: int, repeats: int) -> Iterator[Figure]:
    """Yield what the relay's statements cost with so many models idle, and with a ready job for each."""
    with transaction(ground.sessions) as session:
        dataset = session.scalar(select(Model.dataset_id).limit(1))
        session.execute(
            text(
                "INSERT INTO models (id, name, factory, arguments, dataset_id, training, policy, state, "
                "revocation_floor, created_at) SELECT gen_random_uuid(), 'many-' || n, 'f', '{}', :dataset, "
                "'{}', '{}', 'ready', 0, now() FROM generate_series(1, :num) AS n"
            ),
            {"dataset": dataset, "num": num_models},
        )
    _analyse(ground)
    yield Figure("idle_sweep_ms", _timed(repeats, lambda: _sweep(ground)), "ms")
    with transaction(ground.sessions) as session:
        session.execute(
            text(
                "INSERT INTO jobs (id, model_id, kind, state, due_at, created_at) SELECT gen_random_uuid(), "
                "id, 'unlearn', 'ready', now() + interval '30 days', now() FROM models "
                "WHERE name LIKE 'many-%'"
            )
        )
    _analyse(ground)
    yield Figure("loaded_sweep_ms", _timed(repeats, lambda: _sweep(ground)), "ms")
    claimed = []

    def claim() -> None:
        with transaction(ground.sessions) as session:
            ready = session.scalar(
                select(Job.id).where(Job.state == JobState.READY, Job.due_at.is_not(None)).limit(1)
            )
            assert ready is not None
            lease = leases.claim(session, ready, "benchmark", 60.0)
            assert lease is not None
            claimed.append(lease)

    yield Figure("claim_ms", _timed(repeats, claim), "ms")

    def end() -> None:
        with transaction(ground.sessions) as session:
            endings.finish(session, claimed.pop())

    yield Figure("finish_ms", _timed(repeats, end), "ms")


def _receive(session: Session, ground: Ground, number: int) -> uuid.UUID:
    sample, model = divmod(number, len(ground.models))
    taken = Intake(
        model=ground.models[model],
        target=Target(TargetKind.SAMPLES, sample_ids=[f"train/{sample:05d}"]),
        method="auto",
        submitted_at=None,
        ground="art-17-1-a",
        idempotency_key=str(uuid.UUID(int=number)),
        fingerprint=f"{number:064x}",
    )
    return intake.receive(session, taken, "key-of-the-benchmark", ground.signatory.pseudonymiser).id


def _complete(ground: Ground) -> tuple[float, int]:
    """Run every unlearn job that waits, without computing anything; return CPU seconds and versions."""
    cpu, versions = time.process_time(), 0
    while True:
        with transaction(ground.sessions) as session:
            ready = session.scalar(
                select(Job.id).where(Job.state == JobState.READY, Job.kind == JobKind.UNLEARN).limit(1)
            )
            if ready is None:
                return time.process_time() - cpu, versions
            model_id = session.scalar(select(Job.model_id).where(Job.id == ready))
            # The purge of the version before would go first.
            session.execute(
                update(Job)
                .where(Job.model_id == model_id, Job.state == JobState.READY, Job.kind != JobKind.UNLEARN)
                .values(state=JobState.DONE, finished_at=clock.now())
            )
            lease = leases.claim(session, ready, "benchmark:1", 600.0)
            assert lease is not None
        with transaction(ground.sessions) as session:
            assignment = runs.take(session, lease)
        if assignment is None:
            continue
        with transaction(ground.sessions) as session:
            runs.begin_audit(session, lease, assignment.run_id, RUNG)
        with transaction(ground.sessions) as session:
            runs.note_audit(session, lease, assignment.run_id, AUDIT)
        with transaction(ground.sessions) as session:
            name = session.get_one(Model, lease.model_id).name
            files = _files(name, assignment.base_version + 1)
            publishing.publish(
                session, lease, assignment, publishing.Publication(files, "approximate"), ground.signatory
            )
        versions += 1


def _append(ground: Ground, num: int) -> None:
    entry = entries.entry_bytes(
        "request.queued", clock.now(), {"request": str(uuid.uuid4()), "from": "received", "note": "n" * 90}
    )
    with transaction(ground.sessions) as session:
        for start in range(0, num, 10_000):
            rows = [{"entry": entry, "request_id": uuid.uuid4()} for _ in range(min(10_000, num - start))]
            session.execute(insert(LedgerEntry), rows)


def _sequence_all(ground: Ground) -> None:
    while True:
        with transaction(ground.sessions) as session:
            if ledger.sequence(session, ground.signatory.signer) < ledger.BATCH:
                return


def _place_one_by_one(ground: Ground) -> None:
    """Give waiting entries their places by an UPDATE an entry, and take them back."""
    with ground.sessions() as session:
        waiting = session.scalars(
            select(LedgerEntry.id).where(LedgerEntry.leaf_index.is_(None)).order_by(LedgerEntry.id)
        ).all()
        first = ledger.size(session)
        session.execute(
            update(LedgerEntry), [{"id": each, "leaf_index": first + n} for n, each in enumerate(waiting)]
        )
        session.rollback()


def _sweep(ground: Ground) -> None:
    """Do what a relay does each second."""
    with transaction(ground.sessions) as session:
        broken.reap(session, 3)
    with transaction(ground.sessions) as session:
        lifecycle.release_held(session)
    with transaction(ground.sessions) as session:
        queue.to_ring(session, 5.0)
    with transaction(ground.sessions) as session:
        ledger.sequence(session, ground.signatory.signer)


def _timed(repeats: int, work: Callable[[], None]) -> list[float]:
    """Return milliseconds of each repeat."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - began))
    return found


def _sizes(ground: Ground) -> dict[str, int]:
    with transaction(ground.sessions) as session:
        return {
            name: session.scalar(select(func.pg_total_relation_size(name))) or 0
            for name in Base.metadata.tables
        }


def _counts(ground: Ground) -> dict[str, int]:
    with transaction(ground.sessions) as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def _analyse(ground: Ground) -> None:
    with transaction(ground.sessions) as session:
        session.execute(text("ANALYZE"))


def _grown(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(after.values()) - sum(before.values())


def _print_grown(what: str, before: dict[str, int], after: dict[str, int], num: int) -> None:
    print(f"\n{num} {what}, bytes each by table, indexes included")
    for name in sorted(after, key=lambda each: before[each] - after[each]):
        if after[name] > before[name]:
            print(f"  {name:<28}{(after[name] - before[name]) / num:>10.0f}")


def _registration(name: str) -> Registration:
    return Registration(
        name=name,
        factory="workers.numerics.architectures:small_cnn",
        arguments={"num_classes": NUM_CLASSES},
        dataset_name="digits",
        dataset={"source": "digits"},
        training={"epochs": 3},
        policy=Policy(),
    )


def _rows(pseudonymiser: Pseudonymiser) -> list[lineage.SampleRow]:
    return [
        (
            position,
            bytes.fromhex(pseudonymiser.sample("digits", f"train/{position:05d}")),
            None,
            position % NUM_CLASSES,
            Split.TRAIN,
        )
        for position in range(A_MODEL)
    ]


def _files(name: str, number: int) -> list[NamedFile]:
    """Return as many files as a version of ten classes has."""
    names = ["model.safetensors", "config.json", "audit.json", "audit.html", "prepared/codes.safetensors"]
    for family in ("class_fisher", "code_fisher"):
        names += [f"prepared/{family}/{each}" for each in ("whole.safetensors", "record.json")]
        names += [f"prepared/{family}/{label}.safetensors" for label in range(NUM_CLASSES)]
    return [
        NamedFile(each, Stored(_digest(name, number, each), 1000), not each.startswith("prepared"))
        for each in names
    ]


def _digest(*parts: object) -> str:
    """Return 64 hexadecimal digits that differ wherever the parts do."""
    return uuid.uuid5(uuid.NAMESPACE_OID, repr(parts)).hex * 2
