"""How far weights may move: the search for the largest harmless strength, and what counts as harm."""

import pytest
import torch
from torch import nn

from workers.unlearning.code_guard import LARGEST, SMALLEST, Guard, code_panel, largest, log_odds
from workers.unlearning.rehearsal import Panel

LOGITS = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]])[:, None]


class Tempered(nn.Module):
    """Answers with its input times one weight."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return images.flatten(1) * self.factor


def factor(value):
    return {"factor": torch.tensor(value)}


@pytest.mark.parametrize("limit", [3e-6, 1e-3, 0.02, 0.5, 77.0])
def test_the_strength_found_is_harmless_and_close_to_the_limit(limit):
    asked = []

    found = largest(lambda strength: asked.append(strength) or strength <= limit)

    assert limit / 2 < found <= limit
    assert found in asked


def test_no_strength_is_better_than_a_harmful_one():
    assert largest(lambda strength: False) == 0.0


def test_the_search_ends_where_nothing_harms():
    assert LARGEST / 4 < largest(lambda strength: True) <= LARGEST


@pytest.mark.parametrize("limit", [SMALLEST, 0.03, LARGEST])
def test_few_questions_are_asked(limit):
    asked = []

    largest(lambda strength: asked.append(strength) or strength <= limit)

    assert len(asked) <= 12


def guard_of(gone=(), kept=(0, 1)):
    empty = Panel(torch.empty(0), torch.empty(0, dtype=torch.int64))
    return Guard.of(
        Tempered(), factor(1.0), (code_panel(LOGITS, kept, 8, 0), empty), code_panel(LOGITS, gone, 8, 0)
    )


def test_a_loss_of_probability_within_the_budget_is_allowed_and_beyond_it_is_not():
    guard = guard_of()

    assert guard.allows(factor(0.99), 0.01)
    assert not guard.allows(factor(0.5), 0.01)
    assert guard.allows(factor(0.5), 0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_are_never_allowed(value):
    assert not guard_of().allows(factor(value), 1.0)


def test_a_class_forgotten_earlier_may_not_wake():
    asleep = Guard.of(Tempered(), factor(-1.0), (), code_panel(LOGITS, (2,), 8, 0))

    assert not asleep.allows(factor(1.0), 1.0)
    assert asleep.allows(factor(-2.0), 1.0)


def test_many_classes_cost_as_many_codes_as_allowed():
    codes = torch.arange(50.0).reshape(50, 1, 1, 1)

    panel = code_panel(codes, range(50), 8, seed=0)

    assert len(panel) == 8
    assert torch.equal(panel.images.flatten().long(), panel.labels)


def test_log_odds_are_those_against_the_rivals_alone():
    value = log_odds(Tempered(), factor(1.0), LOGITS[[0]], 0, [1])

    assert float(value) == pytest.approx(3.0)
