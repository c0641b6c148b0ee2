"""Training follows its recipe and nothing else: the same bytes again, without the excluded, with codes."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from workers.numerics import architectures, metrics, params
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetRowError, Manifest, ReaderSource
from workers.numerics.datasets.digits import open_digits
from workers.preparation import training
from workers.preparation.recipe import Schedule, TrainingRecipe
from workers.preparation.training import TrainingError, train

QUICK = TrainingRecipe(epochs=5, batch_size=32, learning_rate=0.1, code_mix=0.1)
BRIEF = TrainingRecipe(epochs=1, batch_size=256, code_mix=0.1)


def small_cnn():
    return architectures.small_cnn(width=4)


def with_dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))


def toy(labels, splits=None, seen=None):
    """Random images of the given labels; notes every row that is read."""
    images = torch.rand(len(labels), 1, 4, 4, generator=torch.Generator().manual_seed(0))

    def read(positions):
        if seen is not None:
            seen.update(positions.tolist())
        return images[positions]

    return ReaderSource("toy", Manifest.of(labels, splits), (1, 4, 4), read)


def test_digits_are_learned_together_with_their_codes():
    source = open_digits()

    trained = train(architectures.small_cnn, source, QUICK)

    model = architectures.small_cnn()
    codes = training.draw_recipe_codes(source, QUICK)
    logits = metrics.logits_of(
        model,
        trained.params,
        SampleSet(
            ReaderSource("codes", Manifest.of(np.arange(10)), (1, 8, 8), lambda rows: codes[rows]),
            np.arange(10),
        ),
    )
    assert trained.accuracy_holdout >= 0.9
    assert metrics.accuracy(*logits) == 1.0
    assert trained.steps == 5 * 34 and trained.seconds > 0


@pytest.mark.parametrize("build", [small_cnn, with_dropout])
def test_the_same_recipe_gives_the_same_bytes_whatever_was_drawn_before(build):
    source = open_digits()

    first = train(build, source, BRIEF)
    torch.rand(17)
    second = train(build, source, BRIEF)

    assert params.to_bytes(first.params) == params.to_bytes(second.params)


def test_another_seed_gives_another_model():
    source = open_digits()

    first = train(small_cnn, source, BRIEF)
    second = train(small_cnn, source, TrainingRecipe.from_json({**BRIEF.to_json(), "seed": 1}))

    assert params.num_changed(first.params, second.params) > 0


def test_the_global_random_stream_is_left_alone():
    before = torch.get_rng_state()

    train(with_dropout, open_digits(), BRIEF)

    assert torch.equal(torch.get_rng_state(), before)


def test_excluded_rows_and_other_splits_are_never_read():
    seen = set()
    source = toy([0, 1] * 4, splits=["train"] * 5 + ["holdout", "holdout", "test"], seen=seen)

    train(lambda: architectures.mlp(16, 4, 2), source, BRIEF, excluded=np.array([5, 3, 1]))

    assert seen == {0, 2, 4, 6}


def test_excluding_nothing_is_training_on_everything():
    source = open_digits()

    first = train(small_cnn, source, BRIEF)
    second = train(small_cnn, source, BRIEF, excluded=np.array([], dtype=np.int64))

    assert params.num_changed(first.params, second.params) == 0


def test_nothing_left_to_train_on_is_an_error():
    with pytest.raises(TrainingError, match="at least one training sample"):
        train(lambda: architectures.mlp(16, 4, 2), toy([0, 1]), BRIEF, excluded=np.array([0, 1]))


def test_without_holdout_there_is_no_accuracy():
    assert train(lambda: architectures.mlp(16, 4, 2), toy([0, 1]), BRIEF).accuracy_holdout is None


def test_a_last_batch_of_one_does_not_stop_batch_norm():
    recipe = TrainingRecipe(epochs=1, batch_size=4)

    def pooled():  # one pixel is left: batch norm refuses a single sample
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(1), nn.Linear(1, 2))

    assert train(pooled, toy([0, 1] * 4 + [0]), recipe).steps == 2


def test_a_network_of_another_input_is_refused_with_the_shape_it_was_given():
    with pytest.raises(TrainingError, match=r"images of shape \[1, 4, 4\]"):
        train(lambda: architectures.mlp(99, 4, 2), toy([0, 1]), BRIEF)


def test_a_head_with_fewer_classes_than_the_data_is_refused():
    with pytest.raises(TrainingError, match="below the model's 2 outputs, got 2"):
        train(lambda: architectures.mlp(16, 4, 2), toy([0, 1, 2]), BRIEF)


def test_a_single_class_can_be_trained():
    trained = train(lambda: architectures.mlp(16, 4, 1), toy([0, 0], splits=["train", "holdout"]), BRIEF)

    assert trained.accuracy_holdout == 1.0


def test_a_training_that_diverges_says_so():
    recipe = TrainingRecipe(epochs=30, learning_rate=1000.0, momentum=0.9, schedule=Schedule.CONSTANT)

    with pytest.raises(TrainingError, match="lower the recipe's learning_rate"):
        train(lambda: architectures.mlp(16, 32, 4), toy([0, 1, 2, 3] * 20), recipe)


def test_a_loss_that_is_not_finite_ends_the_training_at_once():
    seen = []
    recipe = TrainingRecipe(epochs=50, learning_rate=1000.0, momentum=0.9, schedule=Schedule.CONSTANT)

    with pytest.raises(TrainingError, match=r"the loss of step \d+ of 100 is (nan|inf)"):
        train(lambda: architectures.mlp(16, 32, 4), toy([0, 1, 2, 3] * 20), recipe, progress=seen.append)

    assert 0 < len(seen) < 99


def test_batch_norm_on_a_single_sample_says_what_to_do():
    def pooled():
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(1), nn.Linear(1, 2))

    with pytest.raises(TrainingError, match="raise the recipe's batch_size"):
        train(pooled, toy([0]), BRIEF)


def test_a_model_in_half_precision_is_refused():
    with pytest.raises(TrainingError, match=r"float32 or float64, got 4 of torch\.float16"):
        train(lambda: architectures.mlp(16, 4, 2).half(), toy([0, 1]), BRIEF)


def test_a_model_in_double_precision_is_trained_in_it():
    trained = train(lambda: architectures.mlp(16, 4, 2).double(), toy([0, 1] * 4), BRIEF)

    assert all(tensor.dtype == torch.float64 for tensor in trained.params.values())


def test_a_frozen_model_is_refused():
    with pytest.raises(TrainingError, match="unfreeze"):
        train(lambda: architectures.mlp(16, 4, 2).requires_grad_(False), toy([0, 1]), BRIEF)


def test_a_frozen_layer_keeps_its_values():
    def build():
        model = architectures.mlp(16, 4, 2)
        model.features.requires_grad_(False)
        return model

    before = train(build, toy([0, 1] * 4), TrainingRecipe(steps=1, learning_rate=0.0)).params
    after = train(build, toy([0, 1] * 4), TrainingRecipe(steps=5)).params

    assert torch.equal(before["features.1.weight"], after["features.1.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.parametrize(("steps", "num_images"), [(1, 4), (2, 8), (3, 13), (7, 30)])
def test_a_bound_of_steps_replaces_the_epochs(steps, num_images):
    seen = []  # labels of 13 samples in batches of 4, 4 and 5

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(16, 2)

        def forward(self, images):
            if self.training:
                seen.append(len(images))
            return self.head(images.flatten(1))

    trained = train(Counting, toy([0, 1] * 6 + [0]), TrainingRecipe(epochs=1, batch_size=4, steps=steps))

    assert trained.steps == len(seen) == steps
    assert sum(seen) == num_images


def test_a_row_that_cannot_be_read_stops_the_training():
    def read(positions):
        raise DatasetRowError(int(positions[0]), "a torn page")

    source = ReaderSource("broken", Manifest.of([0, 1]), (1, 4, 4), read)

    with pytest.raises(DatasetRowError, match="a torn page"):
        train(lambda: architectures.mlp(16, 4, 2), source, BRIEF)


def test_progress_rises_to_one_and_may_cancel():
    seen = []

    def build():
        return architectures.mlp(16, 4, 2)

    train(build, toy([0, 1] * 4), TrainingRecipe(epochs=2, batch_size=4), progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]

    def cancel(done):
        if done > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build, toy([0, 1] * 4), TrainingRecipe(epochs=2, batch_size=4), progress=cancel)


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [
        (TrainingRecipe(epochs=2, batch_size=32), 2 * 34),  # 1077 digits are 34 batches of 32
        (TrainingRecipe(epochs=300, batch_size=64), 300 * 17),
        (TrainingRecipe(epochs=300, batch_size=64, steps=17), 17),
    ],
)
def test_the_estimate_is_the_time_of_a_step_times_the_steps(monkeypatch, recipe, steps):
    monkeypatch.setattr(training.time, "perf_counter", itertools.count(step=3).__next__)

    assert training.estimate_seconds(small_cnn, open_digits(), recipe) == 3 * steps


def test_an_estimate_needs_no_weights_to_start_from():
    recipe = TrainingRecipe(epochs=1, initial="0" * 64)

    assert training.estimate_seconds(small_cnn, open_digits(), recipe) > 0


def test_an_estimate_of_a_training_on_nothing_is_nothing():
    nothing = np.array([0, 1])

    seconds = training.estimate_seconds(
        lambda: architectures.mlp(16, 4, 2), toy([0, 1]), BRIEF, excluded=nothing
    )

    assert seconds == 0


def test_codes_replace_about_the_share_that_the_recipe_says():
    seen = []

    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(16, 2)

        def forward(self, images):
            if self.training:
                seen.append(images)
            return self.head(images.flatten(1))

    recipe = TrainingRecipe(epochs=10, batch_size=64, code_mix=0.3)
    source = toy([0, 1] * 100)
    codes = training.draw_recipe_codes(source, recipe)

    train(Recorder, source, recipe)

    images = torch.cat(seen)
    is_code = (images[:, None] == codes[None]).flatten(2).all(2).any(1)
    assert len(images) == 2000
    assert abs(float(is_code.float().mean()) - 0.3) < 0.05  # five standard errors
