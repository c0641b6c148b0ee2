"""Looks up which version of a model is served."""

from service.api.schemas.model import LatestView, latest_view
from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.registry import repository


def read_served(sessions: Sessions, name: str) -> LatestView:
    """Return what should be served of a model now.

    Raises:
        errors.NotFound: No such model, or nothing of it is published yet.
    """
    with transaction(sessions) as session:
        model = repository.model_named(session, name)
        if model.served_version is None:
            raise errors.NotFound(
                f"No version of this model is published yet; the model is {model.state}.",
                code="not_published",
            )
        version = repository.version_numbered(session, model.id, model.served_version)
        return latest_view(model, version, repository.files_of(session, version.id, public=True))
