"""A bank knows what deletions have left of it."""

import numpy as np

from tests.fixtures import reference_banks
from workers.audit.reference.bank import ReferenceBank
from workers.preparation.bank.strength import is_weak, strength

NUM_MEMBERS = 16


def bank():
    return reference_banks.world(num_samples=40, num_rows=10, num_members=NUM_MEMBERS).bank


def test_a_whole_bank_has_every_sample_out_of_half_of_its_members():
    assert strength(bank(), np.array([3, 8])).tolist() == [8, 8]
    assert not is_weak(bank(), NUM_MEMBERS)


def test_every_deletion_weakens_it():
    left = bank().without(np.array([3]))

    assert strength(left, np.array([8]))[0] < 8
    assert is_weak(left.without(np.array([8, 9])), NUM_MEMBERS)


def test_an_unknown_sample_has_no_strength():
    assert strength(bank(), np.array([3, 77])).tolist() == [8, 0]


def test_a_bank_that_has_only_begun_is_weak():
    assert is_weak(bank(), 4 * NUM_MEMBERS)


def test_a_bank_without_controls_or_samples_is_weak():
    whole = bank()

    assert is_weak(whole.without(np.unique(whole.control_positions)), NUM_MEMBERS)
    nobody = np.empty(0, dtype=np.int64)
    assert is_weak(ReferenceBank.empty(nobody, nobody, nobody), 0)
