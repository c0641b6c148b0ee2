"""A model's description in a file: what `lethe register` sends and `lethe train` trains by.

name = "digits"
weights = "model.safetensors"            (beside this file)
[architecture]
factory = "workers.numerics.architectures:small_cnn"
arguments = { in_channels = 1, num_classes = 10 }
[dataset]
source = "digits"
[training]
epochs = 30
[policy]
exact_budget_seconds = 600
"""

import json
import tomllib
from pathlib import Path
from typing import Any

from lethe.client import LetheError


def read(file: Path) -> dict[str, Any]:
    """Read a description in JSON or TOML; a dataset's relative path is taken from where the file lies.

    Raises:
        LetheError: The file is not there, or no such description.
    """
    try:
        text = file.read_text(encoding="utf-8")
        described = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise LetheError(f"{file} was expected to describe a model in JSON or TOML: {error}") from error
    if not isinstance(described, dict):
        raise LetheError(f"{file} was expected to describe a model by named fields, and does not.")
    dataset = described.get("dataset")
    if isinstance(dataset, dict) and isinstance(dataset.get("path"), str):
        described["dataset"] = {**dataset, "path": str((file.parent / dataset["path"]).resolve())}
    return described
