"""The bench asks every seed for the same samples, and only canaries have labels of their own."""

import numpy as np
import pytest

from benchmarks.quality.asks import FEWEST, KINDS, ONE_CLASS, SPLIT_CLASS, THREE_CLASSES
from benchmarks.setting import digits_setting
from workers.unlearning.base import Kind

SETTING = digits_setting(epochs=1)


@pytest.mark.parametrize("name", KINDS)
def test_a_request_names_the_same_training_samples_each_time(name):
    first, again = KINDS[name](SETTING), KINDS[name](SETTING)

    train = SETTING.source.manifest.positions("train")
    assert first.name == name
    assert np.array_equal(first.positions, again.positions)
    assert np.isin(first.positions, train).all() and len(set(first.positions)) == len(first.positions)
    assert sorted([*first.positions, *first.retain.positions]) == train.tolist()


@pytest.mark.parametrize(("name", "classes"), [("class", ONE_CLASS), ("three classes", THREE_CLASSES)])
def test_classes_are_asked_for_whole(name, classes):
    ask = KINDS[name](SETTING)

    assert (ask.kind, ask.classes) == (Kind.CLASS, classes)
    assert {*ask.forget.labels.tolist()} == {*classes}
    assert not {*ask.retain.labels.tolist()} & {*classes}


def test_a_subclass_leaves_the_larger_part_of_its_class():
    ask = KINDS["subclass"](SETTING)

    num_left = int((ask.retain.labels == SPLIT_CLASS).sum())
    assert {*ask.forget.labels.tolist()} == {SPLIT_CLASS}
    assert 0 < len(ask.forget) < num_left


def test_canaries_alone_are_learned_with_wrong_labels():
    ask = KINDS["canaries"](SETTING)

    true, learned = SETTING.source.manifest.labels, ask.source.manifest.labels
    assert np.flatnonzero(true != learned).tolist() == ask.positions.tolist()
    assert ask.source.name != SETTING.source.name
    assert np.array_equal(ask.source.images(ask.positions), SETTING.source.images(ask.positions))


def test_a_coherent_group_is_nearer_to_itself_than_a_random_one():
    def width(ask):
        pixels = ask.source.images(ask.positions).flatten(1)
        return float((pixels - pixels.mean(0)).square().sum(1).mean())

    assert width(KINDS["coherent"](SETTING)) < width(KINDS["random"](SETTING)) / 2


@pytest.mark.parametrize("name", ["random", "canaries", "coherent"])
def test_a_percent_is_never_too_few_to_attack(name):
    assert len(KINDS[name](SETTING).positions) == max(FEWEST, round(0.01 * 1077))
