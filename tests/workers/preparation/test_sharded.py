"""Training in shards: the same bytes whether nothing was found, much, or a killed half of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workers.numerics import architectures, ensembles, params
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.preparation import initial, sharded, shards, training
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.sharded import Finished
from workers.preparation.slices import Slices

RECIPE = TrainingRecipe(epochs=4, batch_size=4, learning_rate=0.05, code_mix=0.2, shards=3, slices=2)
NUM_CLASSES, A_CLASS = 3, 14


class Toy(ReaderSource):
    """Random images that tell which were read."""

    def __init__(self):
        images = torch.rand(NUM_CLASSES * A_CLASS, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        labels = np.tile(np.arange(NUM_CLASSES), A_CLASS)
        self.seen = set()

        def read(positions):
            self.seen.update(positions.tolist())
            return images[positions]

        super().__init__("toy", Manifest.of(labels, ["train"] * 36 + ["holdout"] * 6), (1, 4, 4), read)


def build():
    """Batch norm, momentum and dropout: everything that a state must carry."""
    return nn.Sequential(
        architectures.small_cnn(num_classes=8, width=2), nn.Dropout(0.2), nn.Linear(8, NUM_CLASSES)
    )


def train(recipe=RECIPE, source=None, **options):
    return sharded.train(build, source or Toy(), recipe, **options)


def names(excluded=None):
    return sharded.names(build, Toy(), RECIPE, excluded=excluded)


def in_slice(shard, number, count=1):
    """Return samples of one slice."""
    return shards.deal(Toy().manifest, RECIPE)[shard][number][:count]


def same(one, other):
    return params.to_bytes(one) == params.to_bytes(other)


def test_what_is_trained_is_the_state_of_what_is_served():
    trained = training.train(build, Toy(), RECIPE)

    model = ensembles.combined(build, 3)
    params.load_params(model, trained.params)
    assert trained.accuracy_holdout is not None and trained.steps == sharded.num_steps(Toy(), RECIPE, None)


def test_slices_without_shards_train_a_network_as_it_is():
    trained = training.train(build, Toy(), replace(RECIPE, shards=1))

    params.load_params(build(), trained.params)


def test_every_constituent_sees_its_own_shard_alone():
    dealt = shards.deal(Toy().manifest, RECIPE)
    excluded = np.concatenate([one for own in dealt[1:] for one in own])
    source = Toy()

    train(source=source, excluded=excluded)

    assert source.seen == {*np.concatenate(dealt[0]).tolist()}


@pytest.mark.parametrize("excluded", [in_slice(1, 0), in_slice(1, 1), in_slice(2, 0, 6), np.arange(0, 36, 3)])
def test_with_all_states_kept_it_gives_the_bytes_of_a_training_from_scratch(tmp_path, excluded):
    train(slices=Slices(tmp_path))

    replayed = train(slices=Slices(tmp_path), excluded=excluded)

    assert same(replayed.params, train(excluded=excluded).params)


@pytest.mark.parametrize("excluded", [in_slice(1, 0), in_slice(1, 1), np.arange(0, 36, 3)])
def test_with_only_the_finished_model_it_gives_them_too(excluded):
    before = train()
    finished = Finished(before.params, [own[-1] for own in names()])

    replayed = train(finished=finished, excluded=excluded)

    assert same(replayed.params, train(excluded=excluded).params)


def test_only_the_touched_shard_is_read_and_from_the_touched_slice_on(tmp_path):
    train(slices=Slices(tmp_path))
    source, excluded = Toy(), in_slice(1, 1)

    replayed = train(source=source, slices=Slices(tmp_path), excluded=excluded)

    own = shards.deal(Toy().manifest, RECIPE, excluded)[1]
    last = shards.stages(Toy(), own, RECIPE)[1]
    assert source.seen == {*np.concatenate(own).tolist()}
    assert (replayed.num_trained, replayed.steps - replayed.steps_found) == (1, last.num_steps)


def test_other_constituents_keep_their_bytes_when_a_sample_goes():
    excluded = in_slice(0, 0)

    before, after = train().params, train(excluded=excluded).params

    for number in range(3):
        one, other = (ensembles.constituent(state, number, 3) for state in (before, after))
        assert same(one, other) == (number != 0)


def test_a_finished_model_of_another_training_is_not_taken_over():
    other = train(replace(RECIPE, learning_rate=0.01))
    finished = Finished(other.params, [own[-1] for own in
                        sharded.names(build, Toy(), replace(RECIPE, learning_rate=0.01))])  # fmt: skip

    assert same(train(finished=finished).params, train().params)


def test_a_state_that_knows_what_must_go_is_not_taken_over():
    knowing = train()
    finished = Finished(knowing.params, [own[-1] for own in names()])
    everywhere = np.concatenate([in_slice(shard, 1) for shard in range(3)])

    replayed = train(finished=finished, excluded=everywhere)

    assert replayed.steps_found == 0 and replayed.num_trained == 3


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path):
    class Killed(Exception):
        pass

    def kill(done):
        if done > 0.6:
            raise Killed

    with pytest.raises(Killed):
        train(slices=Slices(tmp_path), progress=kill)
    resumed = train(slices=Slices(tmp_path))

    assert 0 < resumed.steps_found < resumed.steps
    assert same(resumed.params, train().params)


def test_torn_states_are_trained_again(tmp_path):
    train(slices=Slices(tmp_path))
    for file in tmp_path.glob("*/*"):
        file.write_bytes(file.read_bytes()[:1000])

    again = train(slices=Slices(tmp_path))

    assert again.steps_found == 0
    assert same(again.params, train().params)


def test_forgetting_twice_is_forgetting_at_once(tmp_path):
    first, both = in_slice(1, 1), np.union1d(in_slice(1, 1), in_slice(2, 0))
    train(slices=Slices(tmp_path))

    train(slices=Slices(tmp_path), excluded=first)
    second = train(slices=Slices(tmp_path), excluded=both)

    assert same(second.params, train(excluded=both).params)


def test_a_constituent_that_has_nothing_left_stays_as_it_was_drawn():
    whole = np.concatenate(shards.deal(Toy().manifest, RECIPE)[2])

    first, second = train(excluded=whole), train(replace(RECIPE, epochs=1), excluded=whole)

    drawn = [ensembles.constituent(one.params, 2, 3) for one in (first, second)]
    assert same(*drawn)


def test_every_constituent_starts_from_given_weights():
    start = params.state_of(build())
    recipe = replace(RECIPE, initial=initial.digest_of(build(), start), learning_rate=0.0)

    trained = train(recipe, initial=start).params

    for number in range(3):
        own = ensembles.constituent(trained, number, 3)
        assert all(torch.equal(own[name], start[name]) for name in start if "running" not in name
                   and "num_batches" not in name)  # fmt: skip


def test_progress_rises_to_one_whatever_was_found(tmp_path):
    for excluded in (None, in_slice(1, 1), in_slice(1, 1)):
        heard = []
        train(slices=Slices(tmp_path), excluded=excluded, progress=heard.append)
        assert heard == sorted(heard) and heard[-1] == 1.0


@pytest.mark.parametrize(
    ("recipe", "name"), [(RECIPE, "checkpoints"), (replace(RECIPE, shards=1, slices=1), "slices")]
)
def test_the_wrong_place_for_states_is_refused(tmp_path, recipe, name):
    given = {
        "checkpoints": training.Checkpoints(tmp_path / "checkpoint"),
        "slices": Slices(tmp_path),
    }

    with pytest.raises(training.TrainingError, match="the other way round"):
        training.train(build, Toy(), recipe, **{name: given[name]})


def test_an_estimate_counts_the_steps_of_all_constituents(monkeypatch):
    monkeypatch.setattr(training.statistics, "median", lambda seconds: 1.0)

    assert training.estimate_seconds(build, Toy(), RECIPE) == sharded.num_steps(Toy(), RECIPE, None)
