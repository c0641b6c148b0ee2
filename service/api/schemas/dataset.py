"""The dataset that a model learned from, as its owner describes it, and where it may lie."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.schemas.values import Body, Label
from service.core import errors

Number = Annotated[float, Field(allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FilePath = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^/[^\x00-\x1f\x7f]*$")]


class Normalisation(Body):
    """Per channel: an image becomes (image - mean) / std."""

    mean: tuple[Number, ...] = Field(min_length=1, max_length=64)
    std: tuple[Scale, ...] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _same_channels(self) -> "Normalisation":
        if len(self.mean) != len(self.std):
            raise PydanticCustomError("channels_differ", "needs one mean and one std a channel")
        return self


class _Described(Body):
    name: Label | None = Field(
        default=None, description="Unique; default: the source and the path's last part."
    )
    normalisation: Normalisation | None = None

    @property
    def tail(self) -> str | None:
        """What tells datasets of one source apart when they were given no name."""
        return None


class Digits(_Described):
    """The digits that scikit-learn brings."""

    source: Literal["digits"]


class _Placed(_Described):
    path: FilePath = Field(description="Absolute, as the worker sees it.")

    @property
    def tail(self) -> str | None:
        """The last part of the path."""
        return PurePosixPath(self.path).name or None


class Arrays(_Placed):
    """A .npz file, or a folder of .npy files."""

    source: Literal["arrays"]


class Images(_Placed):
    """A folder of images with a CSV manifest."""

    source: Literal["images"]
    manifest: Label = "manifest.csv"

    @model_validator(mode="after")
    def _manifest_is_inside(self) -> "Images":
        manifest = PurePosixPath(self.manifest)
        if manifest.is_absolute() or ".." in manifest.parts:
            raise PydanticCustomError("manifest_outside", "needs its manifest inside the folder")
        return self


class Torchvision(_Placed):
    """A torchvision dataset that is on disk already."""

    source: Literal["torchvision"]
    dataset: Literal["MNIST", "FashionMNIST", "CIFAR10", "CIFAR100"]

    @property
    def tail(self) -> str | None:
        """The dataset's own name."""
        return self.dataset


Dataset = Annotated[Digits | Arrays | Images | Torchvision, Field(discriminator="source")]


def name_of(dataset: Dataset) -> str:
    """Return the dataset's name, which is part of every pseudonym made of its samples."""
    default = f"{dataset.source}/{dataset.tail}" if dataset.tail else dataset.source
    return dataset.name or default[:200]


def spec_of(dataset: Dataset, roots: Sequence[Path]) -> dict[str, Any]:
    """Return the description by which a worker opens the dataset.

    Raises:
        errors.Invalid: It does not lie under one of the roots, symbolic links and `..` followed.
    """
    if isinstance(dataset, _Placed) and roots:
        place = Path(dataset.path).resolve()
        if not any(place.is_relative_to(root.resolve()) for root in roots):
            raise errors.Invalid(
                "The dataset's path lies outside the folders that the operator allows. "
                "Move the data, or have the folder added to LETHE_DATA_ROOTS.",
                code="path_not_allowed",
                details=[{"pointer": "/dataset/path", "reason": "outside the data roots"}],
            )
    described = dataset.model_dump(mode="json", exclude_none=True)
    return {**described, "name": name_of(dataset)}
