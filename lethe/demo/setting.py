"""What the demo is about: scikit-learn's digits, a small network trained with codes, and two requests."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from workers.numerics import architectures
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import Params, write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import Progress, train

MODEL = "digits"
FACTORY = "workers.numerics.architectures:small_cnn"
ARGUMENTS = {"in_channels": 1, "num_classes": 10, "width": 16}
DATASET = {"source": "digits"}
RECIPE = TrainingRecipe(epochs=20, batch_size=32, learning_rate=0.1, code_mix=0.1)

FORGOTTEN_CLASS = 9
FORGOTTEN_SAMPLES = slice(100, 120)
"""Which of the training samples that the class request leaves."""

POLICY = {
    "exact_budget_seconds": 0,
    "class_ladder": ["one_shot", "ssd", "retrain"],
    "samples_ladder": ["ssd", "retrain"],
    "study_seconds": 0,
}
"""Retraining this model takes seconds, so by default it would come first; the demo lets others try before,
and the audit judge them. Nobody waits for a study, so there are no references to clear them by."""


def registration(name: str) -> dict[str, Any]:
    """Return what the demo tells Lethe of its model.

    The data bear the model's name: under one they had before, an earlier demo's tombstones would bar samples.
    """
    return {
        "name": name,
        "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
        "dataset": {**DATASET, "name": name},
        "training": RECIPE.to_json(),
        "policy": POLICY,
    }


def build() -> nn.Module:
    """Return the untrained network."""
    return architectures.build(FACTORY, ARGUMENTS)


def data() -> DatasetSource:
    """Return the digits."""
    return open_source(DATASET)


def trained(source: DatasetSource, excluded: NDArray[np.int64], progress: Progress) -> Params:
    """Train the network without some positions."""
    return train(build, source, RECIPE, excluded=excluded, progress=progress).params


def train_to(path: Path, source: DatasetSource, progress: Progress) -> None:
    """Train the network on everything and write its weights."""
    write_file(path, trained(source, np.empty(0, dtype=np.int64), progress))


def forgotten_samples(source: DatasetSource) -> tuple[str, ...]:
    """Return the ids of twenty training samples that the class request does not cover."""
    manifest = source.manifest
    train = manifest.positions("train")
    others = train[manifest.labels[train] != FORGOTTEN_CLASS]
    return tuple(manifest.sample_ids[others[FORGOTTEN_SAMPLES]].tolist())
