"""The last layer is found by what it does, and by order where that cannot be seen."""

import dataclasses

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics.params import state_of
from workers.unlearning import head
from workers.unlearning.base import Kind


class HeadFirst(nn.Module):
    """A network that registers its last layer first."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 4)
        self.first = nn.Linear(16, 4)

    def forward(self, images):
        return self.out(self.first(images.flatten(1)))


def with_log_probabilities():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 4), nn.LogSoftmax(dim=1))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: forget_problems.cnn(4), ("head.weight", "head.bias")),
        (HeadFirst, ("out.weight", "out.bias")),
        (with_log_probabilities, ("2.weight", "2.bias")),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_layer_with_one_row_a_class(make, expected, dtype):
    build = lambda: make().to(dtype)  # noqa: E731 - two words
    problem = dataclasses.replace(
        forget_problems.problem(Kind.SAMPLES), build=build, params=state_of(build())
    )

    assert head.names(problem) == expected
