"""The deal: balanced, each class spread, and blind to who is left out; stages cost what the recipe does."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.preparation import shards
from workers.preparation.recipe import TrainingRecipe

RECIPE = TrainingRecipe(epochs=10, batch_size=4, shards=3, slices=4)
LABELS = np.repeat(np.arange(5), [50, 30, 20, 7, 1])
MANIFEST = Manifest.of(LABELS, ["train"] * 100 + ["holdout"] * 4 + ["train"] * 4)
NOBODY = np.empty(0, dtype=np.int64)


def source(num_samples):
    return ReaderSource(
        "toy", Manifest.of([0] * num_samples), (1, 2, 2), lambda rows: torch.zeros(len(rows), 1, 2, 2)
    )


def test_every_training_sample_is_dealt_once_and_no_other():
    dealt = shards.deal(MANIFEST, RECIPE)

    everyone = np.concatenate([one for own in dealt for one in own])
    assert sorted(everyone) == MANIFEST.positions("train").tolist()
    assert [len(own) for own in dealt] == [4, 4, 4]


def test_cells_differ_by_one_sample_at_most_and_by_one_of_each_class():
    cells = [one for own in shards.deal(MANIFEST, RECIPE) for one in own]

    sizes = [len(one) for one in cells]
    assert max(sizes) - min(sizes) <= 1
    for label in range(5):
        counts = [int((LABELS[one] == label).sum()) for one in cells]
        assert max(counts) - min(counts) <= 1


def test_another_seed_deals_otherwise_and_the_same_seed_the_same():
    first, again = shards.deal(MANIFEST, RECIPE), shards.deal(MANIFEST, RECIPE)
    other = shards.deal(MANIFEST, replace(RECIPE, seed=1))

    assert all(np.array_equal(a, b) for one, two in zip(first, again, strict=True)
               for a, b in zip(one, two, strict=True))  # fmt: skip
    assert not np.array_equal(first[0][0], other[0][0])


def test_leaving_samples_out_moves_no_other():
    excluded = np.array([107, 3, 50, 51, 52])

    before, after = shards.deal(MANIFEST, RECIPE), shards.deal(MANIFEST, RECIPE, excluded)

    for own, left in zip(before, after, strict=True):
        for one, rest in zip(own, left, strict=True):
            assert rest.tolist() == [row for row in one if row not in excluded]


def test_stages_see_ever_more_and_the_last_sees_the_whole_shard():
    own = shards.deal(MANIFEST, RECIPE)[0]

    found = shards.stages(source(108), own, RECIPE)

    seen = [set(stage.samples.positions.tolist()) for stage in found]
    assert all(less < more for less, more in itertools.pairwise(seen))
    assert seen[-1] == {*np.concatenate(own).tolist()}
    assert all(np.all(np.diff(stage.samples.positions) > 0) for stage in found)


@pytest.mark.parametrize(("num_shards", "num_slices"), [(1, 4), (2, 1), (5, 1), (5, 4)])
def test_all_constituents_together_pass_as_many_samples_as_a_training_without_shards(num_shards, num_slices):
    recipe = replace(RECIPE, shards=num_shards, slices=num_slices)
    given = source(1600)

    passed = sum(
        stage.num_steps * recipe.batch_size
        for own in shards.deal(given.manifest, recipe)
        for stage in shards.stages(given, own, recipe)
    )

    assert passed == pytest.approx(recipe.epochs * 1600, rel=0.02)


def test_a_recipe_that_counts_steps_shares_them_out():
    recipe = replace(RECIPE, steps=600)

    found = [shards.stages(source(108), own, recipe) for own in shards.deal(MANIFEST, recipe)]

    assert [[stage.num_steps for stage in own] for own in found] == [[20, 40, 60, 80]] * 3


def test_what_a_stage_does_follows_from_no_later_slice():
    own = shards.deal(MANIFEST, RECIPE)[1]

    before = shards.stages(source(108), own, RECIPE)
    after = shards.stages(source(108), [*own[:2], NOBODY, NOBODY], RECIPE)

    for one, other in zip(before[:2], after[:2], strict=True):
        assert np.array_equal(one.samples.positions, other.samples.positions)
        assert (one.num_steps, one.start, one.end) == (other.num_steps, other.start, other.end)


def test_the_falls_of_the_stages_join_without_a_gap():
    found = shards.stages(source(108), shards.deal(MANIFEST, RECIPE)[0], RECIPE)

    assert found[0].start == 0 and found[-1].end == 1
    assert [stage.end for stage in found[:-1]] == [stage.start for stage in found[1:]]


def test_a_stage_of_a_single_sample_takes_no_step():
    found = shards.stages(source(4), [NOBODY, np.array([2]), np.array([0, 1])], RECIPE)

    assert [stage.num_steps for stage in found[:2]] == [0, 0]
    assert found[2].num_steps > 0
