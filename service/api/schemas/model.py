"""Models and their versions as the API shows them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from service.api.schemas.values import Moment
from service.core.lineage.models import Dataset
from service.core.registry import studies
from service.core.registry.models import Model, ModelState, Version, VersionFile, VersionState


class ArchitectureView(BaseModel):
    """How the network is built."""

    factory: str
    arguments: dict[str, Any]


class PromiseView(BaseModel):
    """What requests of one kind may expect of the served version, as far as it was rehearsed."""

    kind: str
    method: str | None
    guarantee: str | None
    seconds: float | None
    rehearsed: int
    passed: int
    suite: str
    text: str


class ModelView(BaseModel):
    """One registered model."""

    name: str
    state: ModelState
    reason: str | None
    architecture: ArchitectureView
    dataset: dict[str, Any]
    num_samples: int | None
    training: dict[str, Any]
    policy: dict[str, Any]
    num_classes: int | None
    training_seconds: float | None
    served_version: int | None
    revocation_floor: int
    promise: list[PromiseView]
    """Empty until a worker has studied the version."""
    created_at: Moment
    links: dict[str, str]


class ModelPage(BaseModel):
    """Some models, in the order they were registered."""

    items: list[ModelView]
    next: str | None


class FileView(BaseModel):
    """A file to pull."""

    name: str
    size: int
    sha256: str
    url: str


class VersionView(BaseModel):
    """One version; `files` is empty once it was withdrawn."""

    model: str
    version: int
    state: VersionState
    digest: str
    guarantee: str | None
    base_version: int | None
    facts: dict[str, Any]
    files: list[FileView]
    published_at: Moment
    withdrawn_at: Moment | None
    purged_at: Moment | None


class VersionList(BaseModel):
    """A model's versions, newest first."""

    items: list[VersionView]


class LatestView(BaseModel):
    """What serving should hold now, and below which version it may never go again."""

    model: str
    version: int
    digest: str
    guarantee: str | None
    files: list[FileView]
    revocation_floor: int
    published_at: Moment

    @property
    def tag(self) -> str:
        """Changes whenever what is served, or what may be served, does."""
        return f"{self.digest}-{self.revocation_floor}"


def model_url(name: str) -> str:
    """Return a model's path."""
    return f"/v1/models/{name}"


def model_view(model: Model, dataset: Dataset, served: Version | None) -> ModelView:
    """Show a model with what the version it serves can promise."""
    url = model_url(model.name)
    links = {"self": url, "weights": f"{url}/weights", "versions": f"{url}/versions"}
    if model.served_version is not None:
        links["latest"] = f"{url}/versions/latest"
    return ModelView(
        name=model.name,
        state=model.state,
        reason=model.reason,
        architecture=ArchitectureView(factory=model.factory, arguments=model.arguments),
        dataset=dataset.spec,
        num_samples=dataset.num_samples,
        training=model.training,
        policy=model.policy,
        num_classes=model.num_classes,
        training_seconds=model.training_seconds,
        served_version=model.served_version,
        revocation_floor=model.revocation_floor,
        promise=[PromiseView.model_validate(each) for each in studies.promise_of(served)],
        created_at=model.created_at,
        links=links,
    )


def version_view(model: Model, version: Version, files: Sequence[VersionFile]) -> VersionView:
    """Show a version with its public files."""
    is_published = version.state == VersionState.PUBLISHED
    return VersionView(
        model=model.name,
        version=version.number,
        state=version.state,
        digest=version.digest,
        guarantee=version.guarantee,
        base_version=version.base_number,
        facts=version.facts,
        files=_file_views(model, version, files) if is_published else [],
        published_at=version.published_at,
        withdrawn_at=version.withdrawn_at,
        purged_at=version.purged_at,
    )


def latest_view(model: Model, version: Version, files: Sequence[VersionFile]) -> LatestView:
    """Show the version that is served."""
    return LatestView(
        model=model.name,
        version=version.number,
        digest=version.digest,
        guarantee=version.guarantee,
        files=_file_views(model, version, files),
        revocation_floor=model.revocation_floor,
        published_at=version.published_at,
    )


def _file_views(model: Model, version: Version, files: Sequence[VersionFile]) -> list[FileView]:
    url = f"{model_url(model.name)}/versions/{version.number}/files"
    return [
        FileView(name=file.name, size=file.size, sha256=file.sha256, url=f"{url}/{quote(file.name)}")
        for file in files
        if file.is_public
    ]
