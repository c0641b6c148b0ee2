"""From the JSON that names a data set to an open source; the one list of kinds of source.

    {"source": "digits"}
    {"source": "arrays", "path": folder or .npz}
    {"source": "images", "path": folder, "manifest": "manifest.csv"}
    {"source": "torchvision", "path": root, "dataset": "MNIST"}

In all: "name" (default: the source and the last part of the path), and "normalisation": {"mean": [...],
"std": [...]}, a number a channel (default: none, images stay in [0, 1]).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workers.numerics.datasets.arrays import open_arrays
from workers.numerics.datasets.base import DatasetSource, DatasetSpecError, Normalisation
from workers.numerics.datasets.digits import open_digits
from workers.numerics.datasets.images import open_images
from workers.numerics.datasets.torchvision import open_torchvision

# What a description of each kind must say beyond its source.
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"digits": (), "arrays": ("path",), "images": ("path",), "torchvision": ("path", "dataset")}
)
_OPTIONAL: Mapping[str, tuple[str, ...]] = MappingProxyType({"images": ("manifest",)})
_COMMON = ("source", "name", "normalisation")


def open_source(spec: Mapping[str, Any], roots: Sequence[Path] = ()) -> DatasetSource:
    """Open the data set that a description names; its manifest is read, its images are not.

    Args:
        spec: the description, JSON values.
        roots: folders that data may lie under; anywhere if empty.

    Raises:
        DatasetSpecError: the description is ill-formed, or its path is not there or outside the roots.
        ManifestError: the rows contradict one another.
        DatasetRowError: the row that fixes the images' size cannot be read.
    """
    kind = _check_fields(spec)
    path = _allowed_path(spec["path"], roots) if "path" in spec else Path()
    tail = spec.get("dataset", path.name)
    name = spec.get("name", f"{kind}/{tail}" if tail else kind)
    normalisation = _normalisation(spec.get("normalisation"))
    source: DatasetSource
    match kind:
        case "digits":
            source = open_digits(name, normalisation)
        case "arrays":
            source = open_arrays(path, name, normalisation)
        case "images":
            source = open_images(path, spec.get("manifest", "manifest.csv"), name, normalisation)
        case _:
            source = open_torchvision(path, spec["dataset"], name, normalisation)
    _check_channels(source)
    return source


def _check_fields(spec: Mapping[str, Any]) -> str:
    """Return the kind of source of a description with the right fields, all but `normalisation` text."""
    kind = spec.get("source")
    if not isinstance(kind, str) or kind not in REQUIRED:
        raise DatasetSpecError(f"expected source out of {', '.join(REQUIRED)}, got {kind!r}; choose one")
    fields = (*_COMMON, *REQUIRED[kind], *_OPTIONAL.get(kind, ()))
    missing = [field for field in REQUIRED[kind] if field not in spec]
    unknown = [field for field in spec if field not in fields]
    if missing or unknown:
        raise DatasetSpecError(
            f"expected fields {', '.join(fields)} for source {kind}, "
            f"got unknown {unknown} and missing {missing}; correct the description"
        )
    for field in fields:
        value = spec.get(field, "unset")
        if field != "normalisation" and not (isinstance(value, str) and value):
            raise DatasetSpecError(f"expected {field} to be text, got {value!r}; correct it")
    return kind


def _allowed_path(text: str, roots: Sequence[Path]) -> Path:
    path = Path(text).resolve()
    if roots and not any(path.is_relative_to(root.resolve()) for root in roots):
        raise DatasetSpecError(
            f"expected a path under one of the data roots, got {text!r}; ask the operator to add its folder"
        )
    if not path.exists():
        raise DatasetSpecError(f"expected data at {text!r}, nothing is there; give a path the worker can see")
    return path


def _normalisation(value: Any) -> Normalisation | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != {"mean", "std"}:
        raise DatasetSpecError(
            f"expected normalisation as {{mean: [...], std: [...]}}, got {value!r}; correct it"
        )
    mean, std = value["mean"], value["std"]
    for numbers in (mean, std):
        if not isinstance(numbers, list | tuple) or not all(map(_is_finite_number, numbers)):
            raise DatasetSpecError(f"expected normalisation as lists of numbers, got {numbers!r}; correct it")
    if len(mean) != len(std) or any(number <= 0 for number in std):
        raise DatasetSpecError(
            f"expected a mean and a std above 0 a channel, got {mean} and {std}; correct them"
        )
    return Normalisation(tuple(map(float, mean)), tuple(map(float, std)))


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_channels(source: DatasetSource) -> None:
    channels = source.input_shape[0]
    if source.normalisation is not None and len(source.normalisation.mean) != channels:
        raise DatasetSpecError(
            f"expected normalisation for {channels} channels, got {len(source.normalisation.mean)}; "
            "give one mean and one std a channel"
        )
