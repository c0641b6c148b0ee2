"""A training starts where its recipe says, or not at all."""

import hashlib
from dataclasses import replace

import pytest
import torch
from torch import nn

from workers.numerics import architectures, params
from workers.numerics.datasets.digits import open_digits
from workers.preparation import training
from workers.preparation.initial import digest_of
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import TrainingError, train

PRETRAINING = TrainingRecipe(epochs=6, batch_size=32, learning_rate=0.1)
FINE_TUNING = TrainingRecipe(steps=60, batch_size=32, learning_rate=0.05, code_mix=0.3, code_seed=5)


def build():
    return architectures.small_cnn(width=4)


@pytest.fixture(scope="module")
def pretrained():
    return train(build, open_digits(), PRETRAINING).params


def starting_from(weights, recipe=FINE_TUNING):
    return replace(recipe, initial=digest_of(build(), weights))


def test_a_pretrained_model_learns_its_codes_and_keeps_its_accuracy(pretrained):
    source = open_digits()
    recipe = starting_from(pretrained)

    tuned = train(build, source, recipe, initial=pretrained)

    codes = training.draw_recipe_codes(source, recipe)
    before = torch.func.functional_call(build().eval(), pretrained, (codes,)).argmax(1)
    after = torch.func.functional_call(build().eval(), tuned.params, (codes,)).argmax(1)
    assert (before == torch.arange(10)).sum() <= 4
    assert (after == torch.arange(10)).sum() >= 9
    assert tuned.accuracy_holdout > 0.85
    assert tuned.steps == 60


def test_a_fine_tuning_of_no_strength_returns_what_it_was_given(pretrained):
    recipe = replace(starting_from(pretrained), learning_rate=0.0, steps=1)

    tuned = train(build, open_digits(), recipe, initial=pretrained).params

    for name, _ in build().named_parameters():
        assert torch.equal(tuned[name], pretrained[name])


def test_the_given_weights_are_not_changed(pretrained):
    before = params.to_bytes(pretrained)

    train(build, open_digits(), starting_from(pretrained), initial=pretrained)

    assert params.to_bytes(pretrained) == before


def test_a_recipe_that_names_weights_never_starts_without_them(pretrained):
    recipe = starting_from(pretrained)

    with pytest.raises(TrainingError, match=f"expected the weights with digest {recipe.initial}"):
        train(build, open_digits(), recipe)


def test_other_weights_than_the_recipe_names_are_refused(pretrained):
    others = {**pretrained, "head.bias": pretrained["head.bias"] + 1e-6}

    with pytest.raises(TrainingError, match="it starts from those with digest"):
        train(build, open_digits(), starting_from(pretrained), initial=others)


def test_weights_that_the_recipe_does_not_name_are_refused(pretrained):
    with pytest.raises(TrainingError, match=f'say "initial": "{digest_of(build(), pretrained)}"'):
        train(build, open_digits(), FINE_TUNING, initial=pretrained)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: {name: t for name, t in state.items() if name != "head.bias"}, "missing head.bias"),
        (lambda state: {**state, "head.bias": state["head.bias"].half()}, "of type torch.float32, got"),
        (lambda state: {**state, "head.bias": torch.zeros(7)}, r"of shape \[10\], got \[7\]"),
        (lambda state: {**state, "head.bias": state["head.bias"] * torch.nan}, "NaN or infinity"),
    ],
)
def test_weights_of_another_model_are_refused(pretrained, spoil, message):
    with pytest.raises(TrainingError, match=message):
        train(build, open_digits(), starting_from(pretrained), initial=spoil(pretrained))


def test_the_digest_is_that_of_the_file_that_is_written(pretrained, tmp_path):
    params.write_file(tmp_path / "weights", pretrained)

    file_digest = hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest()
    assert digest_of(build(), pretrained) == file_digest


def test_the_digest_does_not_depend_on_order_or_on_a_tied_second_name():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight

    model = Tied()
    once = params.state_of(model)
    twice = dict(reversed(list(model.state_dict().items())))

    assert len(twice) == len(once) + 1
    assert digest_of(model, once) == digest_of(model, twice)
