"""A model trained in shards through the whole line: its shard alone, the same bytes, states purged."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lethe.client.records import samples_target
from tests.fixtures.stack import Stack
from workers.numerics import architectures, params
from workers.numerics.datasets.digits import open_digits
from workers.preparation import sharded, training
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.slices import Slices

RECIPE = TrainingRecipe(epochs=8, batch_size=32, learning_rate=0.1, shards=2, slices=2)
FACTORY = "workers.numerics.architectures:small_cnn"


def build() -> torch.nn.Module:
    return architectures.small_cnn(width=8)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Add numbers in the order in which a worker adds them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_sample_is_forgotten_by_its_shard_and_the_states_that_knew_it_are_purged(
    stack: Stack, tmp_path: Path, one_thread: None
) -> None:
    source, slices = open_digits(), Slices(stack.folder / "slices")
    position = int(source.manifest.positions("train")[7])
    whole = training.train(build, source, RECIPE, slices=slices)
    params.write_file(tmp_path / "whole.safetensors", whole.params)
    registration = {
        "name": "shards",
        "architecture": {"factory": FACTORY, "arguments": {"width": 8}},
        "dataset": {"source": "digits"},
        "training": RECIPE.to_json(),
    }
    stack.register(registration, tmp_path / "whole.safetensors")
    knowing = {file.name for file in slices.root.glob("*/*")}

    request = stack.settled(
        stack.client.forget("shards", samples_target([str(source.manifest.sample_ids[position])]))
    )

    assert request.status == "completed" and request.run is not None
    assert (request.run["method"], request.run["guarantee"]) == ("sisa", "exact")
    stack.until(
        lambda: [one.state for one in stack.client.versions("shards")],
        lambda states: states == ["published", "purged"],
    )
    gone = np.array([position])
    fresh = training.train(build, source, RECIPE, excluded=gone)
    served = next(iter(stack.client.versions("shards")))
    digest = next(file.sha256 for file in served.files if file.name == "model.safetensors")
    assert digest == hashlib.sha256(params.to_bytes(fresh.params)).hexdigest()
    valid = sharded.names(build, source, RECIPE, excluded=gone)
    named = {f"{name}.safetensors" for own in valid for name in own}
    left = {file.name for file in slices.root.glob("*/*")}
    assert left == named and not knowing <= left
