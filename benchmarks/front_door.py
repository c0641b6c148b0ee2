"""A front door to measure: PostgreSQL with fsync on, one API process as `lethe up` starts it, models to ask.

No relay and no worker runs, so nothing but intake writes. Everything listens on loopback, lies in one folder
and dies with this process.
"""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import lethe
from lethe.embedded.postgres import EmbeddedPostgres
from lethe.embedded.process import Program, free_port, running
from service.core.db.engine import open_engine
from service.core.db.session import open_sessions, transaction
from service.core.ledger import keys
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.lineage import repository as lineage
from service.core.lineage.models import Split
from service.core.registry import service as registry
from service.core.registry.policy import Policy
from service.core.registry.service import NamedFile, Registration
from service.core.storage.base import Stored
from service.settings import ServiceSettings

ADMIN_KEY = "an-admin-key-for-the-benchmark"
DATABASE = "lethe"
DATASET = "faces"
MODEL = "faces"
NUM_CLASSES = 10
CODE_ROOT = Path(lethe.__file__).resolve().parent.parent


@dataclass(frozen=True)
class FrontDoor:
    """What is measured.

    Attributes:
        url: Where the API answers.
        api_pid: Its process.
        postgres: Its database server.
        num_samples: Training samples of the one model, `sample/0` and so on, in ten classes by turns.
    """

    url: str
    api_pid: int
    postgres: EmbeddedPostgres
    num_samples: int

    @property
    def headers(self) -> dict[str, str]:
        """What a caller sends."""
        return {"Authorization": f"Bearer {ADMIN_KEY}"}

    def resident_bytes(self) -> int:
        """Memory of the API process."""
        pages = int(Path(f"/proc/{self.api_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def front_door(folder: Path, num_samples: int, **settings: str) -> Iterator[FrontDoor]:
    """Open a front door with one model that is ready, and close it afterwards.

    Args:
        folder: Where everything of it lies.
        num_samples: Size of the model's dataset.
        settings: Further `LETHE_` variables, by their names in lower case.
    """
    postgres = EmbeddedPostgres(folder / "postgres", folder / "postgres.log")
    with running(postgres.program()):
        postgres.ensure_database(DATABASE)
        url = postgres.url(DATABASE)
        _migrate(url)
        given = ServiceSettings(database_url=url, data_dir=folder, admin_key=ADMIN_KEY)
        _make_ready(given, num_samples)
        api, api_url = _api(folder, url, settings)
        with running(api) as process:
            yield FrontDoor(api_url, process.pid, postgres, num_samples)


def sample_id(number: int) -> str:
    """The owner's id of a sample."""
    return f"sample/{number:07d}"


def _migrate(url: str) -> None:
    engine = create_engine(url)
    config = Config(CODE_ROOT / "migrations" / "alembic.ini")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")
    engine.dispose()


def _make_ready(settings: ServiceSettings, num_samples: int) -> None:
    pseudonymiser = Pseudonymiser(keys.load_or_create_pseudonym_key(settings.pseudonym_key_path))
    names = pseudonymiser.samples(DATASET, map(sample_id, range(num_samples)))
    people = pseudonymiser.subjects(DATASET, (f"person/{number // 10}" for number in range(num_samples)))
    rows = (
        (place, bytes.fromhex(name), bytes.fromhex(person), place % NUM_CLASSES, Split.TRAIN)
        for place, (name, person) in enumerate(zip(names, people, strict=True))
    )
    registration = Registration(
        name=MODEL,
        factory="torchvision.models:resnet18",
        arguments={"num_classes": NUM_CLASSES},
        dataset_name=DATASET,
        dataset={"source": "digits"},
        training={"epochs": 1},
        policy=Policy(),
    )
    weights = NamedFile("weights.safetensors", Stored(uuid.uuid4().hex * 2, 1), True)
    engine = open_engine(settings.database_url)
    with transaction(open_sessions(engine)) as session:
        model = registry.register(session, registration)
        lineage.ingest(session, model.dataset_id, "1" * 64, rows)
        model.num_classes = NUM_CLASSES
        registry.publish(
            session, model, base_number=None, files=[weights], guarantee=None, run_id=None, facts={}
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def _api(folder: Path, database_url: str, settings: dict[str, str]) -> tuple[Program, str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    listen = (
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-access-log",
        "--timeout-graceful-shutdown",
        "2",
    )
    environment = {
        "LETHE_DATABASE_URL": database_url,
        "LETHE_DATA_DIR": str(folder),
        "LETHE_ADMIN_KEY": ADMIN_KEY,
        "PYTHONPATH": str(CODE_ROOT),
        **{f"LETHE_{name.upper()}": value for name, value in settings.items()},
    }

    def is_ready(pid: int) -> bool:
        try:
            return httpx.get(f"{url}/livez", timeout=1, trust_env=False).is_success
        except httpx.TransportError:
            return False

    api = Program(
        name="api",
        command=(sys.executable, "-m", "uvicorn", "service.main:application", "--factory", *listen),
        log=folder / "api.log",
        environment=environment,
        is_ready=is_ready,
        ready_timeout_seconds=60.0,
    )
    return api, url
