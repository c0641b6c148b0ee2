"""Batches give every sample once, shuffled by a generator only, and read images no sooner than needed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.numerics import seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource


def numbered(size, seen=None):
    """A source whose image at each row shows the row's number, and whose label is it modulo 3."""

    def read(positions):
        if seen is not None:
            seen.extend(positions.tolist())
        return torch.from_numpy(positions).float()[:, None, None, None].expand(-1, 1, 2, 2)

    return ReaderSource("numbered", Manifest.of(np.arange(size) % 3), (1, 2, 2), read)


@given(size=st.integers(0, 40), batch_size=st.integers(1, 12), shuffle=st.booleans(), merge=st.booleans())
def test_every_sample_is_given_once(size, batch_size, shuffle, merge):
    samples = SampleSet(numbered(40), np.arange(40)[::-1][:size])
    generator = seeding.generator(0, "order") if shuffle else None

    batches = list(samples.batches(batch_size, generator, merge_single=merge))

    given_rows = [int(image[0, 0, 0]) for images, _ in batches for image in images]
    assert sorted(given_rows) == sorted(samples.positions.tolist())
    assert all(torch.equal(images[:, 0, 0, 0].long() % 3, labels) for images, labels in batches)
    assert len(batches) == samples.num_batches(batch_size, merge_single=merge)


def test_without_a_generator_the_order_is_that_of_the_positions():
    samples = SampleSet(numbered(9), np.array([5, 2, 8]))

    ((images, labels),) = samples.batches(10)

    assert images[:, 0, 0, 0].tolist() == [5, 2, 8]
    assert labels.tolist() == samples.labels.tolist() == [2, 2, 2]


def test_the_same_generator_seed_gives_the_same_order():
    samples = SampleSet(numbered(50), np.arange(50))

    first = [labels for _, labels in samples.batches(7, seeding.generator(1, "order"))]
    second = [labels for _, labels in samples.batches(7, seeding.generator(1, "order"))]

    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("merge", "sizes"), [(False, [4, 4, 1]), (True, [4, 5])])
def test_a_last_batch_of_one_joins_the_one_before_if_asked(merge, sizes):
    samples = SampleSet(numbered(9), np.arange(9))

    assert [len(labels) for _, labels in samples.batches(4, merge_single=merge)] == sizes


def test_images_are_read_one_batch_at_a_time():
    seen = []
    batches = SampleSet(numbered(9, seen), np.arange(9)).batches(4)

    assert seen == []
    next(batches)
    assert seen == [0, 1, 2, 3]


def test_a_part_of_a_set_keeps_its_order():
    samples = SampleSet(numbered(9), np.array([7, 3, 5]))

    assert samples.take(np.array([2, 0])).positions.tolist() == [5, 7]
