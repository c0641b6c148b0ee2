"""Models without a class: trained by the recipe, probed, and only the numbers kept."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.fixtures import forget_problems
from workers.audit.resurrection.references import ClassReferences
from workers.numerics import architectures
from workers.numerics.params import state_of
from workers.preparation import class_references, training
from workers.preparation.initial import digest_of
from workers.preparation.recipe import HeadRecipe, TrainingRecipe
from workers.preparation.training import TrainingError

SOURCE = forget_problems.Blobs((30, 30, 30, 30), (8, 8, 8, 8))
RECIPE = TrainingRecipe(epochs=6, batch_size=16, learning_rate=0.1)


def build():
    return forget_problems.mlp(4)


def drawn():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return state_of(build())


def added(recipe=RECIPE, references=ClassReferences(), **changes):  # noqa: B008 - frozen
    base = (
        changes.pop("base", None)
        or training.train(build, SOURCE, recipe, initial=changes.get("initial")).params
    )
    return class_references.add(build, SOURCE, recipe, references, **{"label": 1, "base": base, **changes})


def test_a_model_that_never_saw_the_class_brings_back_less_than_a_mask():
    (reference,) = added().references

    assert reference.label == 1 and reference.found.num_samples == 38
    assert reference.found.rescue < reference.masked.rescue
    assert reference.found.relapse == (0.0, 0.0, 0.0)


def test_the_same_inputs_give_the_same_numbers():
    assert added(seed=5) == added(seed=5)


def test_a_reference_joins_those_there_are():
    first = added()

    both = added(references=first, label=2)

    assert [each.label for each in both.references] == [1, 2]
    assert both.references[0] == first.references[0]


def test_the_reference_has_a_seed_of_its_own_and_learns_neither_the_class_nor_what_was_forgotten(monkeypatch):
    calls = []
    real = training.train

    def train(*arguments, **named):
        calls.append((arguments[2], named["excluded"]))
        return real(*arguments, **named)

    base = real(build, SOURCE, RECIPE).params
    monkeypatch.setattr(training, "train", train)
    added(base=base, excluded=np.array([90, 91]))

    ((recipe, excluded),) = calls
    assert recipe.seed != RECIPE.seed and dataclasses.replace(recipe, seed=0) == RECIPE
    assert excluded.tolist() == [*range(30, 60), 90, 91]


def test_a_class_forgotten_earlier_is_looked_at_by_nobody():
    gone = np.concatenate([np.arange(90, 120), np.arange(144, 152)])
    base = training.train(build, SOURCE, RECIPE, excluded=gone).params
    SOURCE.rows_read.clear()

    added(base=base, excluded=gone)

    assert not {*gone.tolist()} & SOURCE.rows_read


@pytest.mark.parametrize(
    "recipe",
    [
        dataclasses.replace(RECIPE, shards=2, slices=2),
        dataclasses.replace(
            RECIPE, initial=digest_of(build(), drawn()), head=HeadRecipe(l2=0.05, sigma=0.02)
        ),
    ],
)
def test_recipes_in_shards_and_of_a_head_work_too(recipe):
    initial = drawn() if recipe.head else None

    (reference,) = added(recipe, initial=initial).references

    assert 0.0 <= reference.found.rescue <= reference.masked.rescue
    assert (reference.found.relearning is None) == recipe.is_sharded


@pytest.mark.parametrize("excluded", [np.arange(30, 60), np.setdiff1d(np.arange(120), np.arange(30, 60))])
def test_a_class_without_samples_or_with_all_of_them_is_refused(excluded):
    base = training.train(build, SOURCE, RECIPE).params

    with pytest.raises(TrainingError, match="choose a class that the model still knows"):
        added(base=base, excluded=excluded)


def test_what_is_missing_comes_in_an_order_of_its_own_up_to_the_number_wanted():
    base = {"base": training.train(build, SOURCE, RECIPE).params}
    order = class_references.missing(ClassReferences(), range(4), number=4, seed=0)
    one = added(label=order[1], **base)

    assert sorted(order) == [0, 1, 2, 3]
    assert class_references.missing(one, range(4), number=3, seed=0) == (order[0], order[2])
    assert class_references.missing(one, range(4), number=1, seed=0) == ()
    assert class_references.missing(
        one, [each for each in range(4) if each != order[1]], number=9, seed=0
    ) == (
        order[0],
        order[2],
        order[3],
    )


def test_a_small_network_with_batch_norm_is_probed():
    def network():
        return architectures.small_cnn(num_classes=4, width=3)

    recipe = dataclasses.replace(RECIPE, epochs=1)
    base = training.train(network, SOURCE, recipe).params

    made = class_references.add(network, SOURCE, recipe, ClassReferences(), label=0, base=base)

    assert len(made) == 1
