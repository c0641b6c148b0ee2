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


def test_a_thinned_panel_is_spread_evenly_and_a_small_one_stays_whole():
    panel = Panel(torch.arange(10.0)[:, None], torch.arange(10))

    assert panel.thinned(4).labels.tolist() == [0, 3, 6, 9]
    assert panel.thinned(10) is panel


def test_movement_is_relative_to_the_size_of_the_logits_before():
    before = Answers(torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([0]))
    nowhere = Answers(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]))

    assert before.movement_from(before) == 0
    assert nowhere.movement_from(before) == pytest.approx(1.0)
    assert before.movement_from(nowhere) == float("inf") and nowhere.movement_from(nowhere) == 0


def test_the_mean_of_the_surpluses_is_the_confidence_above():
    forget = Answers(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    unseen = Answers(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))

    assert forget.surpluses(unseen).tolist() == pytest.approx([2.0, 0.0])
    assert forget.confidence_above(unseen) == pytest.approx(1.0)
