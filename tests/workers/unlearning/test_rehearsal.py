"""Candidates are tried on a bounded panel of the right classes."""

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics.batches import SampleSet
from workers.unlearning.base import Kind
from workers.unlearning.rehearsal import Answers, Panel


def test_a_panel_holds_the_asked_classes_up_to_its_limit():
    tuning = forget_problems.problem(Kind.CLASS).tuning

    panel = Panel.read(tuning, (0, 2), limit=5, seed=0)

    assert len(panel) == 5 and panel.images.shape == (5, 1, 4, 4)
    assert {*panel.labels.tolist()} <= {0, 2}
    assert torch.equal(panel.images, Panel.read(tuning, (0, 2), limit=5, seed=0).images)


def test_a_panel_of_nobody_is_empty():
    tuning = forget_problems.problem(Kind.CLASS).tuning
    nobody = SampleSet(tuning.source, tuning.positions[:0])

    assert len(Panel.read(nobody, (0, 1), limit=5, seed=0)) == 0


def test_confidence_is_compared_class_by_class():
    # log odds of two classes are the difference of their logits
    forget = Answers(torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64), torch.tensor([0, 1]))
    unseen = Answers(
        torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0]], dtype=torch.float64), torch.tensor([0, 0, 1])
    )

    assert forget.confidence_above(unseen) == pytest.approx(((3 - 1.5) + (1 - 5)) / 2)


def test_answers_that_are_not_finite_say_so():
    assert not Answers(torch.tensor([[torch.nan, 0.0]]), torch.tensor([0])).is_finite
