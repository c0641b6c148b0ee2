"""What the probes look at: all of the class, held-out samples of what stays, no other forgotten class."""

import numpy as np
import pytest

from tests.fixtures.forget_problems import Blobs
from workers.audit.resurrection import evidence
from workers.audit.resurrection.evidence import gather
from workers.numerics.batches import SampleSet

SOURCE = Blobs((8, 8, 8, 8), (4, 4, 4, 4))


def gathered(*, tuning=True, holdout=slice(None), **changes):
    manifest = SOURCE.manifest
    train, held_out = manifest.positions("train"), manifest.positions("holdout")[holdout]
    given = {
        "hidden": (3,),
        "of_class": SampleSet(SOURCE, train[manifest.labels[train] == 1]),
        "retain": SampleSet(SOURCE, train),
        "tuning": SampleSet(SOURCE, held_out[0::2]) if tuning else None,
        "unseen": SampleSet(SOURCE, held_out[1::2]),
        "seed": 0,
    }
    return gather(1, **{**given, **changes})


def labels(samples):
    return {*samples.labels.tolist()}


def test_each_half_has_the_class_and_held_out_samples_of_what_stays():
    found = gathered()

    first, second = found.halves
    assert labels(first) == labels(second) == {0, 1, 2}
    assert not {*first.positions.tolist()} & {*second.positions.tolist()}
    assert len(found.of_class) == 8 + 4
    learned = {*SOURCE.manifest.positions("train").tolist()}
    assert all(
        position not in learned or SOURCE.manifest.labels[position] == 1
        for position in [*first.positions, *second.positions]
    )


def test_a_hidden_class_is_nowhere():
    found = gathered()

    assert labels(found.kept) == {0, 2}
    assert 3 not in labels(found.halves[0]) | labels(found.halves[1])


@pytest.mark.parametrize("changes", [{"tuning": False}, {"holdout": slice(0)}])
def test_without_held_out_samples_of_what_stays_retained_ones_are_dealt_out(changes):
    first, second = gathered(**changes).halves

    assert {0, 2} <= labels(first) and {0, 2} <= labels(second)
    assert not {*first.positions.tolist()} & {*second.positions.tolist()}


def test_more_samples_than_needed_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(evidence, "MOST_KEPT", 6)

    once, again, other = gathered(), gathered(), gathered(seed=1)

    assert len(once.kept) == 6
    assert np.array_equal(once.kept.positions, again.kept.positions)
    assert not np.array_equal(once.kept.positions, other.kept.positions)
