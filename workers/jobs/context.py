"""What every job works with, and how a row of the registry becomes something the engine can build."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from service.core.db.session import Sessions
from service.core.lineage.models import Dataset
from service.core.registry import repository as registry
from service.core.registry.models import Model, VersionFile
from service.core.requests.certificates import Signatory
from service.core.storage.filesystem import FilesystemStore
from workers.engine.client import Engine
from workers.engine.messages import ModelSpec, StoredFile
from workers.jobs.at_hand import AtHand
from workers.jobs.drain import Drain
from workers.settings import WorkerSettings

WEIGHTS = "model.safetensors"
UNMASKED = "prepared/unmasked.safetensors"
"""The weights that a masked version was made from: the next run starts from them."""


@dataclass(frozen=True)
class Context:
    """Everything a job may use.

    Attributes:
        settings: The worker's settings.
        sessions: Makes database sessions.
        store: The artefact store.
        engine: The child that computes.
        signatory: Signs certificates.
        owner: This worker's name in the jobs it claims.
        drain: What it has at hand, and whether it leaves.
        methods: Versions of the unlearning methods its engine found, by name.
        at_hand: Which models the engine has in memory.
    """

    settings: WorkerSettings
    sessions: Sessions
    store: FilesystemStore
    engine: Engine
    signatory: Signatory
    owner: str
    drain: Drain = field(default_factory=Drain)
    methods: Mapping[str, str] = field(default_factory=dict)
    at_hand: AtHand = field(default_factory=AtHand)

    @property
    def scratch(self) -> Path:
        """Folder for files that no job outlives."""
        return self.settings.data_dir / "scratch"


def spec_of(session: Session, model: Model) -> ModelSpec:
    """Return what the engine must know of a model."""
    dataset = session.get_one(Dataset, model.dataset_id)
    return ModelSpec(
        space=model.space,
        factory=model.factory,
        arguments=model.arguments,
        dataset_name=dataset.name,
        dataset=dataset.spec,
        training=model.training,
        training_seconds=model.training_seconds,
    )


def is_sharded(training: Mapping[str, Any]) -> bool:
    """Whether a recipe trains in shards or slices."""
    return bool(training.get("shards", 1) > 1 or training.get("slices", 1) > 1)


def files_of(session: Session, model: Model, number: int) -> tuple[StoredFile, ...]:
    """Return every file of a version."""
    version = registry.version_numbered(session, model.id, number)
    return tuple(
        StoredFile(name=file.name, sha256=file.sha256, size=file.size, is_public=file.is_public)
        for file in registry.files_of(session, version.id)
    )


def is_masked(files: Sequence[StoredFile | VersionFile]) -> bool:
    """Whether a version only masks an output, and has the weights without the mask beside it."""
    return any(file.name == UNMASKED for file in files)


def unmasked(files: tuple[StoredFile, ...]) -> tuple[StoredFile, ...]:
    """Return a version's files as they were before its output was masked; as they are if it was not."""
    before = next((file for file in files if file.name == UNMASKED), None)
    if before is None:
        return files
    others = (file for file in files if file.name not in (WEIGHTS, UNMASKED))
    return (before.model_copy(update={"name": WEIGHTS, "is_public": True}), *others)


def worker_name(pid: int) -> str:
    """Return how a worker process calls itself."""
    return f"{socket.gethostname()}:{pid}"
