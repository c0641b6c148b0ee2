import numpy as np
import pytest

from workers.audit.errors import AuditError
from workers.audit.kept_answers import KeptAnswers


def kept():
    return KeptAnswers(np.array([2, 5, 9]), np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32))


def test_rows_come_in_the_order_they_are_asked_for():
    found = kept().about(np.array([9, 2]))

    assert found is not None
    assert found.tolist() == [[5.0, 6.0], [1.0, 2.0]]


@pytest.mark.parametrize("asked", [[2, 3], [11], [0]])
def test_one_row_that_is_not_kept_and_the_model_must_be_asked(asked):
    assert kept().about(np.array(asked)) is None


def test_answers_survive_their_file():
    read = KeptAnswers.of_tensors(kept().to_tensors())

    assert read.logits.tolist() == kept().logits.tolist()


def test_parts_that_do_not_belong_together_are_refused():
    tensors = kept().to_tensors()
    tensors["logits"] = tensors["logits"][:1]

    with pytest.raises(AuditError, match="have the version studied anew"):
        KeptAnswers.of_tensors(tensors)
