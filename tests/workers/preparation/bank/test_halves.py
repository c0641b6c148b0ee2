"""Which half a member learns from: complements, classes evenly, a person on one side."""

import numpy as np

from workers.numerics.datasets.base import Manifest
from workers.preparation.bank import halves

SEED = 3


def of_classes(*sizes, subjects=None):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return Manifest.of(labels, subject_ids=subjects)


def test_a_pair_shares_the_training_rows_out():
    manifest = of_classes(7, 4, 1)

    first, second = (halves.learned(manifest, member, SEED) for member in (4, 5))

    assert (first ^ second).all()
    assert abs(int(first.sum()) - int(second.sum())) <= 1


def test_every_class_is_halved():
    manifest = of_classes(7, 4, 1, 10)

    learned = halves.learned(manifest, 0, SEED)

    for label in range(4):
        of_class = learned[manifest.labels == label]
        assert abs(2 * int(of_class.sum()) - len(of_class)) <= 1


def test_pairs_are_dealt_differently_and_always_the_same():
    manifest = of_classes(40)

    again = [halves.learned(manifest, member, SEED).tolist() for member in (0, 2, 0)]

    assert again[0] == again[2] != again[1]
    assert halves.learned(manifest, 0, SEED + 1).tolist() != again[0]


def test_what_belongs_to_one_person_is_never_parted():
    subjects = np.array(["anna"] * 3 + [""] * 5 + ["ben"] * 2)
    manifest = of_classes(5, 5, subjects=subjects)

    for member in range(8):
        learned = halves.learned(manifest, member, SEED)
        assert len(set(learned[subjects == "anna"])) == len(set(learned[subjects == "ben"])) == 1


def test_samples_of_nobody_are_dealt_one_by_one():
    manifest = of_classes(10, subjects=[""] * 10)

    assert halves.learned(manifest, 0, SEED).sum() == 5


def test_held_out_rows_are_not_dealt():
    manifest = Manifest.of([0, 0, 0, 0], ["holdout", "train", "test", "train"])

    assert len(halves.learned(manifest, 1, SEED)) == 2
