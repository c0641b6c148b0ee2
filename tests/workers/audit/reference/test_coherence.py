"""Samples that belong together are known as such, and strangers are not."""

import numpy as np
import pytest

from tests.fixtures import reference_banks
from workers.audit.reference import coherence, matching

CONTROLS = np.arange(400)


def measured(rows, **options):
    made = reference_banks.world(**options)
    return coherence.measure(matching.match(made.bank, rows, CONTROLS), seed=0)


def test_strangers_have_nothing_in_common():
    found = measured(np.arange(20), num_members=32)

    assert found.correlation < 0.1
    assert not found.is_disturbing


def test_a_set_whose_members_agree_belongs_together():
    found = measured(np.arange(20), num_members=32, together=np.arange(20))

    assert found.correlation > 0.5
    assert found.is_disturbing


def test_the_members_knew_half_of_the_others():
    assert measured(np.arange(20)).known == pytest.approx(0.5, abs=0.1)


def test_a_set_that_was_dealt_together_does_not_disturb():
    found = measured(np.arange(20), num_members=32, together=np.arange(20), is_dealt=True)

    assert found.known == 0.0
    assert found.correlation > 0.5 and not found.is_disturbing


def test_one_sample_has_no_others():
    assert measured(np.array([7])) == coherence.Coherence(0.0, 1.0, 0.0)
