"""The stage of the burst: a Lethe of real processes, models in it, and requests that wait for a release.

Requests are received by the service's own intake, many a transaction, under a batch window of a day; closing
the window of some models at once is the *release*, once the ledger has given every entry its place. That
leaves out what intake costs, over HTTP and in the ledger, and when a worker starts.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import bindparam, text

from benchmarks.chaos.cluster import Cluster
from benchmarks.chaos.dooms import Dooms
from benchmarks.chaos.traffic import ARGUMENTS, FACTORY
from service.core.db.engine import open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.ledger import certificate
from service.core.ledger.keys import load_or_create_pseudonym_key, load_or_create_signing_key
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer
from service.core.queue import doorbell
from service.core.requests import intake
from service.core.requests.intake import Intake, Target
from service.core.settings import CoreSettings
from workers.numerics import architectures
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

LEASE_SECONDS = 10.0
WINDOW_SECONDS = 86_400.0
PATIENCE_SECONDS = 900.0
LOOK_SECONDS = 0.05
POLICY = {
    "exact_budget_seconds": 600,
    "audit_limits": {"retrained_mean_drop": 1.0},  # a network this small may lose anything
    "study_seconds": 0,
    "batch_window_seconds": WINDOW_SECONDS,
}

MAY_RUN = "(not_before IS NULL OR not_before <= now())"
LOOK = text(
    "SELECT (SELECT count(*) FROM jobs WHERE state = 'running') AS running, "
    f"(SELECT count(DISTINCT model_id) FROM jobs WHERE state = 'ready' AND {MAY_RUN} AND model_id NOT IN "
    "(SELECT model_id FROM jobs WHERE state = 'running')) AS waiting, "
    "(SELECT count(*) FROM forget_requests WHERE model_id IN :models AND status <> 'completed') AS open"
).bindparams(bindparam("models", expanding=True))
RELEASE = text(
    "UPDATE jobs SET not_before = NULL, created_at = clock_timestamp() "
    "WHERE state = 'ready' AND kind = 'unlearn' AND model_id IN :models RETURNING id"
).bindparams(bindparam("models", expanding=True))

NOTE_CLAIMS = text(
    "CREATE TABLE burst_claims (job_id uuid, model_id uuid, claimed_at timestamptz);"
    "CREATE FUNCTION note_burst_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "INSERT INTO burst_claims VALUES (NEW.id, NEW.model_id, clock_timestamp()); RETURN NULL; END $$;"
    "CREATE TRIGGER note_burst_claim AFTER UPDATE ON jobs FOR EACH ROW "
    "WHEN (OLD.state = 'ready' AND NEW.state = 'running' AND NEW.kind = 'unlearn') "
    "EXECUTE FUNCTION note_burst_claim()"
)
"""A run's row is written a while after the claim, so rows of two that were claimed at once may be swapped."""


@dataclass(frozen=True)
class Claim:
    """A model's first claim by a worker for a run, and the end of that job: seconds of the epoch."""

    model_id: uuid.UUID
    claimed_at: float
    ended_at: float


@dataclass(frozen=True)
class Look:
    """What is going on at a moment: jobs that run, idle models with a job that may run, open requests."""

    running: int
    waiting: int
    open: int


class Stage:
    """A Lethe that runs until it is closed.

    Args:
        folder: Where it lives.
        num_workers: Worker processes.
        recipe: Of every model's training.
    """

    def __init__(self, folder: Path, num_workers: int, recipe: TrainingRecipe) -> None:
        self.num_workers = num_workers
        self._cluster = Cluster(folder.resolve(), LEASE_SECONDS, num_workers, num_relays=1)
        Dooms(self._cluster.dooms_folder).create()
        self._cluster.open()
        settings = CoreSettings(database_url=self._cluster.database_url, data_dir=folder.resolve())
        self._engine = open_engine(settings.database_url)
        self.sessions: Sessions = open_sessions(self._engine)
        with transaction(self.sessions) as session:
            session.execute(NOTE_CLAIMS)
        self._recipe = recipe
        self._weights = folder / "weights.safetensors"
        source = open_source({"source": "digits"})
        built = train(lambda: architectures.build(FACTORY, ARGUMENTS), source, recipe)
        write_file(self._weights, built.params)
        self._pseudonymiser = Pseudonymiser(load_or_create_pseudonym_key(settings.pseudonym_key_path))
        self._signer = Signer(settings.log_origin, load_or_create_signing_key(settings.ledger_key_path))

    def close(self) -> None:
        """Stop everything."""
        self._engine.dispose()
        self._cluster.close()

    def models(self, names: Sequence[str]) -> list[uuid.UUID]:
        """Register models, and return their ids once all are prepared and refreshed."""
        for name in names:
            self._cluster.client.register_model(
                {
                    "name": name,
                    "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
                    "dataset": {"source": "digits"},
                    "training": self._recipe.to_json(),
                    "policy": POLICY,
                }
            )
            self._cluster.client.upload_weights(name, self._weights)
        self.rest()
        with transaction(self.sessions) as session:
            query = text("SELECT id FROM models WHERE name = :name")
            return [uuid.UUID(str(session.scalar(query, {"name": name}))) for name in names]

    def receive(self, model: str, targets: Sequence[Target], submitted_at: datetime | None = None) -> None:
        """Take requests in, one for each target, in one transaction."""
        with transaction(self.sessions) as session:
            for target in targets:
                asked = Intake(
                    model=model,
                    target=target,
                    method="auto",
                    submitted_at=submitted_at,
                    ground=None,
                    idempotency_key=None,
                    fingerprint=intake.fingerprint(b""),
                )
                intake.receive(session, asked, "burst", self._pseudonymiser)

    def settle(self) -> None:
        """Wait until the relay has given every entry of the ledger its place."""
        waiting = text("SELECT count(*) FROM ledger_entries WHERE leaf_index IS NULL")
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with transaction(self.sessions) as session:
                if not session.scalar(waiting):
                    return
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"entries were without a place after {PATIENCE_SECONDS:g} s.")
            time.sleep(LOOK_SECONDS)

    def release(self, models: Sequence[uuid.UUID]) -> float:
        """Close the batch window of some models at once; return when, by the monotonic clock."""
        with transaction(self.sessions) as session:
            for job_id in session.scalars(RELEASE, {"models": models}):
                session.execute(
                    text("SELECT pg_notify(:channel, :job)"),
                    {"channel": doorbell.JOBS_CHANNEL, "job": str(job_id)},
                )
        return time.monotonic()

    def look(self, models: Sequence[uuid.UUID]) -> Look:
        """Return what is going on."""
        with transaction(self.sessions) as session:
            return Look(*session.execute(LOOK, {"models": models}).one())

    def await_completed(self, models: Sequence[uuid.UUID]) -> list[Look]:
        """Return what was seen, again and again, until no request of these models was open."""
        seen, give_up_at = [self.look(models)], time.monotonic() + PATIENCE_SECONDS
        while seen[-1].open:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{seen[-1].open} requests were open after {PATIENCE_SECONDS:g} s.")
            time.sleep(LOOK_SECONDS)
            seen.append(self.look(models))
        return seen

    def rest(self) -> None:
        """Wait until nothing runs or may run."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        calm = 0
        while calm < 3:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"jobs were waiting or running after {PATIENCE_SECONDS:g} s.")
            time.sleep(LOOK_SECONDS)
            look = self.look([uuid.UUID(int=0)])
            calm = calm + 1 if not look.running and not look.waiting else 0

    def num_versions(self, model_id: uuid.UUID) -> int:
        """Return how many versions runs have published."""
        query = "SELECT count(*) FROM versions WHERE model_id = :model AND run_id IS NOT NULL"
        with transaction(self.sessions) as session:
            return int(session.scalar(text(query), {"model": model_id}) or 0)

    def num_certified(self, model_id: uuid.UUID) -> int:
        """Return of how many requests there is a certificate that verifies, of that very request."""
        query = (
            "SELECT q.id, c.envelope FROM forget_requests q JOIN certificates c ON c.request_id = q.id "
            "WHERE q.model_id = :model"
        )
        with transaction(self.sessions) as session:
            rows = session.execute(text(query), {"model": model_id}).all()
        return sum(
            certificate.verify(bytes(row.envelope), self._signer.verifier).request
            == self._pseudonymiser.request(str(row.id))
            for row in rows
        )

    def claims(self, models: Sequence[uuid.UUID]) -> list[Claim]:
        """Return each model's first claim in the order in which they were made."""
        query = text(
            "SELECT DISTINCT ON (c.model_id) c.model_id, extract(epoch FROM c.claimed_at), "
            "extract(epoch FROM j.finished_at) FROM burst_claims c JOIN jobs j ON j.id = c.job_id "
            "WHERE c.model_id IN :models ORDER BY c.model_id, c.claimed_at"
        ).bindparams(bindparam("models", expanding=True))
        with transaction(self.sessions) as session:
            rows = session.execute(query, {"models": models}).all()
        found = [Claim(uuid.UUID(str(model)), float(at), float(ended)) for model, at, ended in rows]
        return sorted(found, key=lambda claim: claim.claimed_at)
