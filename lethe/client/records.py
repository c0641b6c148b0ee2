"""What Lethe answers, as records; fields that a newer server adds are kept and never break a client."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

CLOSED = frozenset({"completed", "rejected", "cancelled"})
"""Statuses of a request that nothing follows."""

RESTING = CLOSED | {"needs_review", "failed"}
"""Statuses of a request that nothing leaves by itself."""


class ClassTarget(TypedDict):
    """Forget whole classes."""

    kind: Literal["class"]
    classes: list[int]


class SamplesTarget(TypedDict):
    """Forget samples by the owner's ids."""

    kind: Literal["samples"]
    sample_ids: list[str]


class SubjectTarget(TypedDict):
    """Forget everything of one person."""

    kind: Literal["subject"]
    subject_id: str


Target = ClassTarget | SamplesTarget | SubjectTarget


def class_target(classes: Sequence[int]) -> ClassTarget:
    """Name classes by label."""
    return {"kind": "class", "classes": list(classes)}


def samples_target(sample_ids: Sequence[str]) -> SamplesTarget:
    """Name samples by the owner's ids."""
    return {"kind": "samples", "sample_ids": list(sample_ids)}


def subject_target(subject_id: str) -> SubjectTarget:
    """Name a person by the owner's id."""
    return {"kind": "subject", "subject_id": subject_id}


class Record(BaseModel):
    """One JSON object of the contract."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Model(Record):
    """A registered model."""

    name: str
    state: str
    served_version: int | None = None
    revocation_floor: int = 0


class File(Record):
    """A file of a version."""

    name: str
    size: int
    sha256: str


class Version(Record):
    """A version of a model; once withdrawn it has no `files`, and only the served one tells the floor."""

    version: int
    digest: str
    revocation_floor: int = 0
    published_at: datetime
    files: tuple[File, ...] = ()


class Pointer(Record):
    """Which version is served, and the tag by which to ask whether that changed."""

    version: Version
    etag: str


class Progress(Record):
    """How far a run is: its stage, and the fraction of that stage in [0, 1]."""

    stage: str
    fraction: float


class ForgetRequest(Record):
    """A forget request; its target is told in counts, never in ids."""

    id: str
    model: str
    status: str
    target: dict[str, Any] = {}
    reason: str | None = None
    received_at: datetime
    due_at: datetime
    completed_at: datetime | None = None
    progress: Progress | None = None
    run: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    rungs: tuple[dict[str, Any], ...] = ()
    interim: dict[str, Any] | None = None
    acceptance: dict[str, Any] | None = None
    review: dict[str, Any] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing can happen any more."""
        return self.status in CLOSED

    @property
    def is_resting(self) -> bool:
        """Whether nothing more happens by itself, or only after a window of days."""
        is_served = self.interim is not None and self.interim.get("guarantee") != "suppressed"
        return self.status in RESTING or (self.status == "queued" and is_served)


@dataclass(frozen=True)
class Wish:
    """A forget request that is still to be made, as `LetheClient.forget` takes it.

    Attributes:
        model: The model's name.
        target: What to forget.
        method: An unlearning method, or `auto`.
        submitted_at: When the person asked, with time zone; now, if None.
        ground: Legal ground, e.g. `art-17-1-a`.
        idempotency_key: The same key gives the same request however often it is sent.
    """

    model: str
    target: Target
    method: str = "auto"
    submitted_at: datetime | None = None
    ground: str | None = None
    idempotency_key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self) -> dict[str, Any]:
        """Return what is sent of it, but for the key."""
        fields = {
            "model": self.model,
            "target": self.target,
            "method": self.method,
            "submitted_at": self.submitted_at.isoformat() if self.submitted_at else None,
            "ground": self.ground,
        }
        return {name: value for name, value in fields.items() if value is not None}


class ApiKey(Record):
    """An API key; `key` is the secret, told once."""

    id: str
    name: str
    scopes: tuple[str, ...]
    key: str | None = None
    revoked_at: datetime | None = None


class Job(Record):
    """A piece of work for one model; `evidence` tells what each attempt that failed left behind."""

    id: str
    model: str
    kind: str
    state: str
    attempts: int
    reason: str | None = None
    evidence: tuple[dict[str, Any], ...] = ()
