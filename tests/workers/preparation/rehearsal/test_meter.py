"""The meter counts what passes a model, a gradient three times, and ends what costs more than it may."""

import copy

import pytest
import torch
from torch import nn

from workers.numerics.params import state_of
from workers.preparation.rehearsal.meter import Cost, Meter, TooDearError

IMAGES = torch.zeros(7, 1, 2, 2)
NOTHING = Cost(0, 0)
PLENTY = Cost(1e9, 1e9)


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def test_a_forward_pass_counts_one_and_a_gradient_three() -> None:
    meter = Meter(build, NOTHING)
    model = meter.build()

    with torch.no_grad():
        model(IMAGES)
    model(IMAGES).sum().backward()

    assert meter.spent.samples == 7 + 3 * 7


def test_copies_and_functional_calls_are_counted_by_the_same_meter() -> None:
    meter = Meter(build, Cost(samples=100, seconds=5))
    model = meter.build()

    with torch.no_grad():
        torch.func.functional_call(model, state_of(model), (IMAGES,))
        copy.deepcopy(model)(IMAGES)

    assert meter.spent.samples == 114
    assert meter.spent.seconds >= 5


def test_a_block_beyond_its_part_is_ended() -> None:
    meter = Meter(build, NOTHING)
    model = meter.build()

    with torch.no_grad(), pytest.raises(TooDearError), meter.limited(PLENTY, Cost(10, 0)):
        for _ in range(5):
            model(IMAGES)

    assert meter.spent.samples == 14, "one batch may go beyond"
    with torch.no_grad():
        model(IMAGES)


def test_what_is_spent_of_the_whole_counts_too() -> None:
    meter = Meter(build, Cost(1000, 1000))
    model = meter.build()

    with pytest.raises(TooDearError), meter.limited(Cost(1000, 1000), PLENTY):
        model(IMAGES)


def test_an_allowance_lasts_as_long_as_its_samples_or_its_time() -> None:
    allowed = Cost(samples=100, seconds=20)

    assert allowed.covers(Cost(50, 30)) and allowed.covers(Cost(500, 10))
    assert not allowed.covers(Cost(100, 20))


def test_an_allowance_ends_with_its_time_though_samples_are_left():
    allowed = Cost(samples=100, seconds=2, most_seconds=10)

    assert allowed.covers(Cost(samples=50, seconds=9))
    assert not allowed.covers(Cost(samples=50, seconds=11))
    assert allowed.covers(Cost(samples=500, seconds=1)), "the floor is what a fast machine may always use"
    assert allowed.part(0.5).most_seconds == 5
