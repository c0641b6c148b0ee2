"""The architecture of a registered model, and which factories may be named.

A factory is code that a worker will run. So it is one of torchvision's, one of the two built-in ones, or one
that the operator put on the allow list; whether torchvision really has it, the worker finds out.
"""

import re
from collections.abc import Collection
from typing import Annotated

from pydantic import Field, StringConstraints

from service.api.schemas.values import Body, PlainObject
from service.core import errors

BUILT_IN = frozenset({"workers.numerics.architectures:small_cnn", "workers.numerics.architectures:mlp"})
_TORCHVISION = re.compile(r"torchvision\.models[.:]([a-z][a-z0-9_]*)")


class Architecture(Body):
    """How the model's network is built."""

    factory: Annotated[str, StringConstraints(min_length=3, max_length=300)] = Field(
        description="`torchvision.models:NAME`, a built-in one, or one on the operator's allow list.",
        examples=["torchvision.models:resnet18", *sorted(BUILT_IN)],
    )
    arguments: PlainObject = Field(default_factory=dict, description="Its keyword arguments.")


def permitted_factory(architecture: Architecture, allowed: Collection[str]) -> str:
    """Return the factory's one spelling, `module:callable`.

    Raises:
        errors.Invalid: The factory may not be named here, or pretrained weights are asked for.
    """
    asked = [name for name in architecture.arguments if name.startswith("weights")]
    if any(architecture.arguments[name] is not None for name in asked):
        raise errors.Invalid(
            "Pretrained weights cannot be asked for by an argument. Leave it out and upload the weights.",
            code="pretrained_not_allowed",
            details=[{"pointer": "/architecture/arguments", "reason": "asks for pretrained weights"}],
        )
    torchvision = _TORCHVISION.fullmatch(architecture.factory)
    if torchvision is not None:
        return f"torchvision.models:{torchvision[1]}"
    if architecture.factory in BUILT_IN or architecture.factory in allowed:
        return architecture.factory
    raise errors.Invalid(
        f"A factory was expected that is torchvision.models:NAME, {', '.join(sorted(BUILT_IN))}, or on the "
        "operator's allow list. Ask the operator to add it to LETHE_ALLOWED_FACTORIES.",
        code="factory_not_allowed",
        details=[{"pointer": "/architecture/factory", "reason": "not allowed"}],
    )
