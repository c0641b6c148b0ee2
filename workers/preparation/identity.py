"""Which training a checkpoint belongs to: a digest of each thing that decides the training's outcome.

Left out are the images' pixels, which would have to be read, and torch's release and number of threads, on
which the last bits depend: who changes those between two halves of a training gets a whole, but another one.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import state_of
from workers.preparation.recipe import TrainingRecipe

_EXCLUDED = "excluded rows"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function in a module's text; another in every process


def identity_of(
    model: nn.Module,
    source: DatasetSource,
    recipe: TrainingRecipe,
    excluded: NDArray[np.int64] | None,
    device: torch.device,
) -> dict[str, str]:
    """Return the name of each part -> its SHA-256, hex.

    Args:
        model: of the architecture, with any values.
        source: the data; its manifest is digested, its images are not read.
        recipe: with the digest of the weights to start from, if any.
        excluded: positions left out, in any order.
        device: of which the kind counts.
    """
    return {
        "recipe": _digest(json.dumps(recipe.to_json(), sort_keys=True).encode()),
        "data set": _of_data(source),
        _EXCLUDED: _digest(np.unique([] if excluded is None else excluded).astype(np.int64).tobytes()),
        "architecture": _of_architecture(model),
        "device": _digest(device.type.encode()),
    }


def after_slices(
    identity: Mapping[str, str], shard: int, slices: Sequence[NDArray[np.int64]]
) -> dict[str, str]:
    """Return the identity of a constituent's state by what it has learned from, in order.

    Args:
        identity: of the training, whatever it leaves out.
        shard: which constituent.
        slices: positions of each slice that it has learned from, ascending, the first slice first.
    """
    kept = {part: digest for part, digest in identity.items() if part != _EXCLUDED}
    seen = [np.asarray(one, dtype=np.int64).tobytes() for one in slices]
    return {**kept, "shard": _digest(str(shard).encode()), "seen rows": _digest(*seen)}


def digest_of(identity: Mapping[str, str], parts: Sequence[str] | None = None) -> str:
    """Return one SHA-256, hex, for an identity, or for some parts of it."""
    chosen = {part: identity[part] for part in (identity if parts is None else parts)}
    return _digest(json.dumps(chosen, sort_keys=True).encode())


def _of_data(source: DatasetSource) -> str:
    scale = source.normalisation
    seen = [source.input_shape, None if scale is None else [scale.mean, scale.std]]
    manifest = source.manifest
    columns = [
        part
        for column in (manifest.labels, manifest.splits, manifest.sample_ids)
        for part in (str(column.dtype).encode(), np.ascontiguousarray(column).tobytes())
    ]
    return _digest(json.dumps(seen).encode(), *columns)


def _of_architecture(model: nn.Module) -> str:
    shapes = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in state_of(model).items()}
    return _digest(_ADDRESS.sub("", repr(model)).encode(), json.dumps(shapes).encode())


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
