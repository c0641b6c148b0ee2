"""Heads trained alone: to the minimum, on frozen weights, published with noise, and recognised again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics import architectures
from workers.numerics.head_state import SOLVED
from workers.numerics.params import state_of
from workers.preparation import heads, training
from workers.preparation.initial import digest_of
from workers.preparation.recipe import HeadRecipe, TrainingRecipe
from workers.preparation.training import TrainingError

KEY = b"k" * 32
HEAD = HeadRecipe(l2=0.05, sigma=0.02)
SOURCE = forget_problems.Blobs((6, 6, 6), (3, 3, 3))


def build():
    return architectures.small_cnn(num_classes=3, width=3)


def public(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return state_of(build())


RECIPE = TrainingRecipe(initial=digest_of(build(), public()), head=HEAD)


def samples(without=()):
    return training.remaining(SOURCE, "train", np.array([*without], dtype=np.int64))


def trained(recipe=RECIPE, key=KEY, **changes):
    return training.train(build, SOURCE, recipe, initial=public(), key=key, **changes)


def test_training_leaves_everything_but_the_head_as_it_was():
    found = trained()

    changed = {name for name, tensor in public().items() if not torch.equal(tensor, found.params[name])}
    assert changed == {"head.weight", "head.bias"}
    assert 0 <= found.accuracy_holdout <= 1 and found.steps > 0


def test_the_head_ends_within_a_small_part_of_its_noise_of_the_minimum():
    state = heads.train(build(), public(), samples(), HEAD, key=KEY).state

    assert state.objective.distance(state.weight) <= SOLVED * HEAD.sigma


def test_the_same_key_gives_the_same_bytes_and_no_key_other_ones_each_time():
    first, second = trained().params, trained().params
    secret = [trained(key=None).params["head.weight"] for _ in range(2)]

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(*secret)


def test_what_is_left_out_has_no_part_in_it():
    found = trained(excluded=np.array([0, 7])).params

    expected = heads.train(build(), public(), samples(without=[0, 7]), HEAD, key=KEY).params
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_trained_version_is_recognised_with_the_state_of_its_training():
    known = heads.train(build(), public(), samples(), HEAD, key=KEY)

    found = heads.recognise(build(), known.params, public(), samples(), HEAD)

    assert torch.equal(found.weight, known.state.weight) and found.spent == 0


@pytest.mark.parametrize(
    ("initial", "off", "message"),
    [(public(seed=1), 0.0, "frozen weights"), (public(), 1.0, "of the minimum")],
)
def test_what_the_recipe_did_not_make_is_not_recognised(initial, off, message):
    known = heads.train(build(), public(), samples(), HEAD, key=KEY).params
    moved = {**known, "head.weight": known["head.weight"] + off}

    with pytest.raises(TrainingError, match=message):
        heads.recognise(build(), moved, initial, samples(), HEAD)


def test_a_head_on_weights_of_its_own_drawing_is_refused():
    with pytest.raises(TrainingError, match="without `initial`"):
        training.train(build, SOURCE, replace(RECIPE, initial=None))


def test_a_network_without_a_linear_head_is_refused():
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Softplus())

    recipe = replace(RECIPE, initial=digest_of(make(), state_of(model := make())))

    with pytest.raises(TrainingError, match="last linear layer"):
        training.train(make, SOURCE, recipe, initial=state_of(model))


def test_the_cost_of_a_head_is_measured():
    assert 0 < training.estimate_seconds(build, SOURCE, RECIPE) < 60
