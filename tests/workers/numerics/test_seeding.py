"""Named random streams: stable, separate, and without a trace in torch's global generator."""

import numpy as np
import torch

from workers.numerics import seeding


def test_a_sub_seed_never_changes_between_releases():
    assert seeding.derive(0, "order", 3) == 2723741169552378311


def test_streams_of_different_names_differ():
    first = torch.rand(8, generator=seeding.generator(0, "order", 1))
    second = torch.rand(8, generator=seeding.generator(0, "order", 2))

    assert not torch.equal(first, second)


def test_a_fixed_permutation_never_changes_between_releases():
    permutation = seeding.fixed_permutation(10, "digits")

    assert permutation.tolist() == [5, 2, 3, 4, 8, 6, 1, 0, 7, 9]
    assert permutation.dtype == np.int64


def test_an_isolated_block_draws_the_same_numbers_and_leaves_the_global_stream_alone():
    torch.rand(3)
    before = torch.get_rng_state()

    with seeding.isolated(torch.device("cpu"), 5, "model"):
        first = torch.rand(4)
    with seeding.isolated(torch.device("cpu"), 5, "model"):
        second = torch.rand(4)

    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
