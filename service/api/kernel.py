"""What the routes work with, built once when the process starts and closed when it ends."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service.api.callers import Callers
from service.api.departure import Departure
from service.api.group_commit import GroupCommit
from service.api.intake_desk import IntakeDesk
from service.api.meters import Meters
from service.api.news import Hearer, Newsline
from service.api.publications import Publications
from service.api.readiness import Readiness
from service.api.remembered import Remembered
from service.api.schemas.request import RequestView
from service.api.served import LOOK_SECONDS, NUM_REMEMBERED, Pointer, read_served
from service.core.access.service import REVOKED_CHANNEL
from service.core.db.engine import conninfo, open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.ledger import keys
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer, Verifier
from service.core.queue.doorbell import PUBLISHED_CHANNEL
from service.core.requests.intake import Sent
from service.core.storage.base import ArtefactStore
from service.core.storage.filesystem import FilesystemStore
from service.settings import ServiceSettings


@dataclass(frozen=True)
class Kernel:
    """The open resources of one process.

    Attributes:
        settings: What it was told.
        engine: Its pool of database connections.
        sessions: Maker of sessions on that pool.
        store: The artefacts.
        pseudonymiser: Turns identifiers into pseudonyms.
        verifier: Public half of the ledger's key.
        callers: Who is behind a key.
        publications: Wakes those who wait for a model's next version.
        served: What is served of each model, remembered.
        meters: What `/metrics` tells.
        desk: Takes forget requests in.
        intake: Those that come together, in one transaction.
        readiness: What `/readyz` tells.
        departure: Whether the process was told to stop.
        uploads: Bounds how many uploads are taken at once, so that slow ones leave threads to others.
    """

    settings: ServiceSettings
    engine: Engine
    sessions: Sessions
    store: ArtefactStore
    pseudonymiser: Pseudonymiser
    verifier: Verifier
    callers: Callers
    publications: Publications
    served: Remembered[Pointer]
    meters: Meters
    desk: IntakeDesk
    intake: GroupCommit[Sent, RequestView]
    readiness: Readiness
    departure: Departure
    uploads: CapacityLimiter

    def transaction(self) -> AbstractContextManager[Session]:
        """Open the one transaction of a request; it is committed when the block ends."""
        return transaction(self.sessions)


@asynccontextmanager
async def open_kernel(settings: ServiceSettings) -> AsyncIterator[Kernel]:
    """Yield the resources of one process and close them afterwards.

    Raises:
        ledger.errors.KeyFileError: A key file cannot be read or made.
    """
    engine = open_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        pool_timeout_seconds=settings.pool_timeout_seconds,
    )
    sessions = open_sessions(engine)
    pseudonymiser = Pseudonymiser(keys.load_or_create_pseudonym_key(settings.pseudonym_key_path))
    desk = IntakeDesk(sessions, pseudonymiser)

    async def read(model: str) -> Pointer:
        return await to_thread.run_sync(read_served, sessions, model)

    callers = Callers(sessions, settings.admin_key.get_secret_value())
    served = Remembered(read, seconds=LOOK_SECONDS, limit=NUM_REMEMBERED)
    publications = Publications(served)
    hearers: dict[str, Hearer] = {PUBLISHED_CHANNEL: publications, REVOKED_CHANNEL: callers.remembered}
    store, departure = FilesystemStore(settings.store_dir), Departure()
    try:
        async with Newsline(conninfo(settings.database_url), hearers).listening():
            kernel = Kernel(
                settings=settings,
                engine=engine,
                sessions=sessions,
                store=store,
                pseudonymiser=pseudonymiser,
                verifier=Signer(
                    settings.log_origin, keys.load_or_create_signing_key(settings.ledger_key_path)
                ).verifier,
                callers=callers,
                publications=publications,
                served=served,
                meters=Meters(sessions, engine),
                readiness=Readiness(sessions, store),
                departure=departure,
                desk=desk,
                intake=GroupCommit(desk.take_in),
                uploads=CapacityLimiter(settings.max_uploads),
            )
            with departure.watching(publications.wake_all):
                yield kernel
    finally:
        engine.dispose()


async def kernel_of(request: Request) -> Kernel:
    """Return the resources of the process that answers a request."""
    kernel: Kernel = request.app.state.kernel
    return kernel


KernelOf = Annotated[Kernel, Depends(kernel_of)]
