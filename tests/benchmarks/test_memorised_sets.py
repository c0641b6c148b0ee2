"""Labels are wrong where they should be, and the forget sets are what their names say."""

import functools

import numpy as np
import torch

from benchmarks import memorised_sets, stacks
from benchmarks.memorised_sets import SIZE, Setup
from benchmarks.ssd_digits import digits
from benchmarks.stacks import Data


@functools.cache
def setup():
    return Setup.of(1)


def test_one_training_label_in_twenty_is_wrong_and_no_other():
    true, given = digits().manifest, setup().source.manifest

    wrong = np.flatnonzero(true.labels != given.labels)

    assert np.array_equal(np.sort(true.positions("train")[setup().mislabelled]), wrong)
    assert len(wrong) == round(0.05 * len(true.positions("train")))


def test_canaries_are_mislabelled_and_the_others_are_not():
    sets, wrong = setup().forget_sets, setup().mislabelled

    assert np.isin(sets["canaries"], wrong).all()
    assert not np.isin(np.concatenate([sets["random"], sets["coherent"], setup().bystanders]), wrong).any()


def test_bystanders_are_in_no_forget_set():
    assert all(len(rows) == SIZE for rows in setup().forget_sets.values())
    assert not np.isin(setup().bystanders, np.concatenate([*setup().forget_sets.values()])).any()


def test_the_coherent_group_is_of_one_class_and_nearer_than_chance():
    rows = setup().forget_sets["coherent"]

    spread = torch.cdist(setup().train.images[rows], setup().train.images[rows]).mean()

    assert len(setup().train.labels[rows].unique()) == 1
    same = setup().train.labels == setup().train.labels[rows[0]]
    assert spread < torch.cdist(setup().train.images[same], setup().train.images[same]).mean()


def test_another_draw_mislabels_others():
    assert not np.array_equal(Setup.of(2).mislabelled, setup().mislabelled)


def test_the_gap_between_other_classes_does_not_depend_on_the_label():
    stack, images = stacks.drawn((1,)), torch.rand(1, 64)
    label = torch.tensor([4])
    louder = {name: tensor.clone() for name, tensor in stack.items()}
    louder["3.bias"][:, 4] += 5.0

    asked = Data(images, label)

    assert np.allclose(memorised_sets.gaps(stack, asked), memorised_sets.gaps(louder, asked))
    assert (memorised_sets.confidences(louder, asked) > memorised_sets.confidences(stack, asked)).all()


def test_what_is_asked_near_a_sample_is_not_the_sample():
    images = setup().train.images[:3]

    asked = memorised_sets._near(images)

    assert len(asked) == 7
    assert all(each.shape == images.shape and not torch.equal(each, images) for each in asked)
