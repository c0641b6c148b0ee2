"""A reference bank grows member by member, and grows again after a deletion."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workers.numerics import metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.params import state_of
from workers.preparation import initial
from workers.preparation.bank.growing import grow
from workers.preparation.recipe import HeadRecipe, TrainingRecipe
from workers.preparation.training import train

RECIPE = TrainingRecipe(epochs=3, batch_size=4, learning_rate=0.1, code_mix=0.2, seed=5)
NUM_CLASSES = 3


def source():
    images = torch.rand(42, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = np.arange(42) % NUM_CLASSES
    splits = ["train"] * 30 + ["holdout"] * 12
    return ReaderSource("toy", Manifest.of(labels, splits), (1, 4, 4), lambda rows: images[rows])


def build():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, NUM_CLASSES)
    )


def grown(bank=None, *, num_members=4, recipe=RECIPE, **options):
    return grow(build, source(), recipe, bank, num_members=num_members, **options)


def same(one, other):
    return all(torch.equal(one.to_tensors()[name], other.to_tensors()[name]) for name in one.to_tensors())


def test_every_sample_is_out_of_exactly_half_of_the_members():
    bank = grown()

    assert bank.members.tolist() == [0, 1, 2, 3]
    assert set(bank.num_out.tolist()) == {2}
    assert bank.positions.tolist() == list(range(30))


def test_a_member_scores_what_a_training_on_its_half_says():
    bank = grown(num_members=1, seed=9)

    rows = np.flatnonzero(~bank.is_in[:, 0])
    from_its_half = train(
        build, source(), replace(RECIPE, seed=seeding.derive(9, "member", 0)), excluded=rows.astype(np.int64)
    )
    logits, labels = metrics.logits_of(build(), from_its_half.params, SampleSet(source(), np.arange(30)))
    np.testing.assert_allclose(bank.scores[:, 0], metrics.confidence(logits, labels), rtol=1e-5, atol=1e-5)


def test_a_control_is_scored_for_the_label_it_is_given():
    bank = grown(num_members=1)

    row = bank.control_positions == bank.control_positions[0]
    odds = bank.control_scores[row, 0].astype(np.float64)
    assert sorted(bank.control_labels[row].tolist()) == [0, 1, 2]
    assert (1 / (1 + np.exp(-odds))).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_bank_grown_in_turns_is_the_bank_grown_at_once():
    bank, turns = None, 0
    while bank is None or len(bank) < 4:
        bank, turns = grown(bank, is_due=lambda: True), turns + 1

    assert turns == 4
    assert same(bank, grown())


def test_a_whole_bank_is_left_as_it_is():
    bank = grown()

    assert same(grown(bank), bank)


def test_members_that_a_deletion_retired_are_grown_without_the_sample():
    gone = np.array([7])

    again = grown(grown().without(gone), excluded=gone)

    assert same(again, grown(excluded=gone))
    assert 7 not in again.positions


def test_a_member_that_learned_a_deleted_sample_is_not_kept_even_if_the_bank_still_has_it():
    gone = np.array([7])

    assert same(grown(grown(), excluded=gone), grown(excluded=gone))


def test_a_bank_of_other_rows_is_left_behind():
    foreign = replace(grown(), positions=np.arange(100, 130))

    assert same(grown(foreign), grown())


def test_progress_counts_the_members_that_are_there():
    told = []

    grown(grown(num_members=3), progress=told.append)

    assert told[0] > 0.75 and told[-1] == 1.0


def test_heads_are_members_too_and_the_same_again():
    model = build()
    recipe = TrainingRecipe(head=HeadRecipe(), initial=initial.digest_of(model, state_of(model)))

    one, other = (grown(num_members=2, recipe=recipe, initial=state_of(model)) for _ in range(2))

    assert same(one, other)
    assert np.isfinite(one.scores).all()


def test_a_recipe_in_shards_has_members_in_shards():
    bank = grown(num_members=2, recipe=replace(RECIPE, shards=2, slices=2))

    assert set(bank.num_out.tolist()) == {1}
    assert np.isfinite(bank.scores).all()


def test_without_a_holdout_a_bank_has_no_controls():
    manifest = Manifest.of(np.arange(12) % 2)
    images = torch.rand(12, 1, 4, 4)
    toy = ReaderSource("toy", manifest, (1, 4, 4), lambda rows: images[rows])

    bank = grow(build, toy, RECIPE, None, num_members=1)

    assert bank.control_scores.shape == (0, 1)
