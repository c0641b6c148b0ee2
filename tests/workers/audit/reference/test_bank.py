import numpy as np
import pytest

from workers.audit.errors import AuditError
from workers.audit.reference.bank import ReferenceBank


def bank():
    """Return a bank of two pairs over rows 3, 5, 8, with two controls."""
    is_in = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]], dtype=bool)
    return ReferenceBank(
        positions=np.array([3, 5, 8]),
        scores=np.arange(12, dtype=np.float32).reshape(3, 4),
        is_in=is_in,
        members=np.array([0, 1, 2, 3]),
        control_positions=np.array([11, 11]),
        control_labels=np.array([0, 1]),
        control_scores=np.ones((2, 4), dtype=np.float32),
    )


def test_whole_pairs_leave_every_sample_out_of_half_the_members():
    assert bank().num_out.tolist() == [2, 2, 2]


def test_a_deleted_sample_takes_its_row_and_every_member_that_learned_from_it():
    left = bank().without(np.array([5]))

    assert left.positions.tolist() == [3, 8]
    assert left.members.tolist() == [0, 3]
    assert left.scores.tolist() == [[0.0, 3.0], [8.0, 11.0]]
    assert left.is_in.tolist() == [[True, False], [True, True]]
    assert left.control_scores.shape == (2, 2)


def test_a_deleted_held_out_sample_is_no_control_any_longer():
    left = bank().without(np.array([11]))

    assert len(left.control_positions) == 0
    assert len(left) == 4


def test_an_unknown_row_has_no_place():
    assert bank().rows_of(np.array([8, 4, 9, 3])).tolist() == [2, -1, -1, 0]


def test_an_empty_bank_knows_no_row():
    empty = bank().without(np.array([3, 5, 8]))

    assert empty.rows_of(np.array([3])).tolist() == [-1]
    assert len(empty) == 0


def test_a_bank_survives_its_file():
    read = ReferenceBank.of_tensors(bank().to_tensors())

    assert read.scores.tolist() == bank().scores.tolist()
    assert read.is_in.dtype == np.bool_


def test_parts_that_do_not_belong_together_are_refused():
    tensors = bank().to_tensors()
    tensors["scores"] = tensors["scores"][:2]

    with pytest.raises(AuditError, match=r"scores of shape \[3, 4\], got \[2, 4\]"):
        ReferenceBank.of_tensors(tensors)
