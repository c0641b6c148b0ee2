"""Look at a model's versions."""

from fastapi import APIRouter

from service.api.access import ModelsReader
from service.api.kernel import KernelOf
from service.api.names import ModelName, VersionNumber
from service.api.schemas.model import VersionList, VersionView, version_view
from service.api.schemas.problem import problems
from service.core.registry import repository

router = APIRouter(prefix="/v1/models/{model}/versions", tags=["versions"], responses=problems(404))


@router.get("")
def list_versions(name: ModelName, caller: ModelsReader, kernel: KernelOf) -> VersionList:
    """List a model's versions, newest first."""
    with kernel.transaction() as session:
        model = repository.model_named(session, name)
        versions = repository.versions_of(session, model.id)
        return VersionList(
            items=[
                version_view(model, version, repository.files_of(session, version.id, public=True))
                for version in versions
            ]
        )


@router.get("/{number}")
def get_version(
    name: ModelName, number: VersionNumber, caller: ModelsReader, kernel: KernelOf
) -> VersionView:
    """Show a version, whatever became of it."""
    with kernel.transaction() as session:
        model = repository.model_named(session, name)
        version = repository.version_numbered(session, model.id, number)
        return version_view(model, version, repository.files_of(session, version.id, public=True))
