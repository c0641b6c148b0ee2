"""Which held-out rows are controls, and for which labels."""

import numpy as np

from workers.numerics.datasets.base import Manifest
from workers.preparation.bank import controls

NOBODY = np.empty(0, dtype=np.int64)


def manifest(num_classes=5, num_holdout=20):
    labels = np.arange(10 * num_classes + num_holdout) % num_classes
    return Manifest.of(labels, ["train"] * 10 * num_classes + ["holdout"] * num_holdout)


def test_controls_are_the_odd_half_of_the_holdout():
    drawn = controls.draw(manifest(), NOBODY, seed=1)

    assert np.unique(drawn.positions).tolist() == list(range(51, 70, 2))


def test_each_row_has_its_own_label_and_a_few_wrong_ones():
    of = manifest()

    drawn = controls.draw(of, NOBODY, seed=1)

    labels = drawn.labels[drawn.positions == 51]
    assert labels[0] == of.labels[51]
    assert len(labels) == len(set(labels.tolist())) == 1 + controls.NUM_WRONG


def test_two_classes_leave_one_wrong_label():
    drawn = controls.draw(manifest(num_classes=2), NOBODY, seed=1)

    assert set(drawn.labels[drawn.positions == 21].tolist()) == {0, 1}


def test_a_forgotten_class_lends_neither_rows_nor_labels():
    of = manifest()
    gone = np.flatnonzero(of.labels == 2)

    drawn = controls.draw(of, gone, seed=1)

    assert 2 not in drawn.labels
    assert not np.isin(drawn.positions, gone).any()


def test_a_row_keeps_its_labels_when_another_goes():
    before = controls.draw(manifest(), NOBODY, seed=1)
    after = controls.draw(manifest(), np.array([51]), seed=1)

    kept = before.positions != 51
    assert after.labels.tolist() == before.labels[kept].tolist()


def test_without_a_holdout_there_are_no_controls():
    drawn = controls.draw(Manifest.of([0, 1]), NOBODY, seed=1)

    assert len(drawn.positions) == len(drawn.labels) == 0
