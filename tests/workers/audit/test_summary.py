"""The numbers people compare: who is still recognised, before and after."""

import pytest

from tests.fixtures import audit_outputs as made
from workers.audit.outputs import Pair
from workers.audit.summary import BIN_EDGES, summarise


def forgotten_class_0():
    rows = made.truth(10)
    forget = Pair(made.answers([0] * 20, 5.0), made.answers([0] * 20, -30.0))
    unseen = Pair(made.answers(rows, 5.0), made.answers(rows, [-5.0] * 10 + [5.0] * 25 + [-5.0] * 5))
    return made.outputs(made.class_group(forget, 0), unseen)


def test_kept_and_forgotten_are_counted_apart():
    before = summarise(forgotten_class_0(), is_new=False).to_json()
    after = summarise(forgotten_class_0(), is_new=True).to_json()

    assert (before["retained_accuracy"], before["forgotten_accuracy"]) == (1.0, 1.0)
    assert after["retained_accuracy"] == pytest.approx(25 / 30)
    assert after["forgotten_accuracy"] == 0.0


def test_every_class_has_its_row():
    rows = summarise(forgotten_class_0(), is_new=True).to_json()["per_class"]

    assert [row["class"] for row in rows] == [0, 1, 2, 3]
    assert [row["is_forgotten"] for row in rows] == [True, False, False, False]
    assert rows[3] == {"class": 3, "num_samples": 10, "accuracy": 0.5, "is_forgotten": False}


def test_the_attack_compares_with_unseen_samples_of_the_forgotten_class():
    after = summarise(forgotten_class_0(), is_new=True).to_json()

    assert after["membership_auc"] == {"value": 0.0, "interval": [0.0, 0.0]}


def test_every_sample_is_in_one_bin_however_far_off():
    histograms = summarise(forgotten_class_0(), is_new=True).histograms

    assert histograms["forget"][0] == 20 and sum(histograms["forget"]) == 20
    assert sum(histograms["retain"]) == 40
    assert sum(histograms["unseen"]) == 10
    assert all(len(counts) == len(BIN_EDGES) - 1 for counts in histograms.values())


def test_nothing_to_measure_is_none_and_not_zero():
    empty = Pair(made.answers([], 0.0), made.answers([], 0.0))
    forget = Pair(made.answers([1], 2.0), made.answers([1], 1.0))

    summary = summarise(made.outputs(made.samples_group(forget), empty), is_new=True).to_json()

    assert summary["retained_accuracy"] is None and summary["membership_auc"] is None
    assert summary["per_class"][1]["accuracy"] is None
