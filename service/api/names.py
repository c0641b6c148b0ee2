"""Names in paths: one that could never have been given is unknown, and is not looked up."""

import re
from typing import Annotated

from fastapi import Depends, Path

from service.api.schemas.values import MODEL_NAME_PATTERN
from service.core import errors

VersionNumber = Annotated[int, Path(ge=1, lt=2**31, description="Number of a version.")]

_MODEL_NAME = re.compile(MODEL_NAME_PATTERN)


def model_name(model: Annotated[str, Path(description="Name of a model.")]) -> str:
    """Return a model's name from the path.

    Raises:
        errors.NotFound: No model can have this name.
    """
    if not _MODEL_NAME.fullmatch(model):
        raise errors.NotFound("No model has this name. List the models to see those that exist.")
    return model


ModelName = Annotated[str, Depends(model_name)]
