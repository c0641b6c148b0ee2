"""The constituents of a model in shards are a bank without any training."""

import numpy as np
import pytest
import torch
from torch import nn

from workers.numerics import ensembles, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.preparation import shards
from workers.preparation.bank.constituents import from_shards
from workers.preparation.errors import TrainingError
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

RECIPE = TrainingRecipe(epochs=2, batch_size=4, shards=3, slices=2)


def source():
    images = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    manifest = Manifest.of(np.arange(30) % 2, ["train"] * 24 + ["holdout"] * 6)
    return ReaderSource("toy", manifest, (1, 4, 4), lambda rows: images[rows])


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def test_a_sample_is_in_its_own_shard_and_out_of_the_others():
    params = train(build, source(), RECIPE).params

    bank = from_shards(build, source(), RECIPE, params)

    assert len(bank) == 3
    assert set(bank.num_out.tolist()) == {2}
    own = np.concatenate(shards.deal(source().manifest, RECIPE)[1])
    assert bank.positions[bank.is_in[:, 1]].tolist() == np.sort(own).tolist()


def test_a_member_says_what_its_constituent_says():
    params = train(build, source(), RECIPE).params

    bank = from_shards(build, source(), RECIPE, params)

    state = ensembles.constituent(params, 2, 3)
    logits, labels = metrics.logits_of(build(), state, SampleSet(source(), bank.positions))
    np.testing.assert_allclose(bank.scores[:, 2], metrics.confidence(logits, labels), rtol=1e-5, atol=1e-5)


def test_what_was_forgotten_before_has_no_row():
    params = train(build, source(), RECIPE, excluded=np.array([4])).params

    assert 4 not in from_shards(build, source(), RECIPE, params, excluded=np.array([4])).positions


def test_one_shard_is_no_bank():
    with pytest.raises(TrainingError, match="at least two shards"):
        from_shards(build, source(), TrainingRecipe(), {})
