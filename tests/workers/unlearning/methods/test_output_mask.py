"""Masking an output: never answered again, nothing else touched, and refused where there is no bias."""

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from workers.numerics import calling
from workers.unlearning import run
from workers.unlearning.base import ForgetProblem, Guarantee, Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.methods.output_mask import METHOD

SHAPES = {
    "plain": {},
    "batch norm": {"build": forget_problems.cnn},
    "two outputs": {"train_counts": (12, 12), "holdout_counts": (6, 6)},
    "several classes": {"classes": (2, 0)},
    "a class without held-out samples": {"holdout_counts": (0, 6, 6, 6)},
}


def logits_of(problem: ForgetProblem, params: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits of noise far louder than any image; [64, num_classes]."""
    images = 20 * torch.randn(64, *forget_problems.SHAPE, generator=torch.Generator().manual_seed(3))
    model = problem.build()
    with calling.evaluating(model), torch.no_grad():
        return calling.logits(model, params, images)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_masked_class_is_answered_on_no_input_and_every_other_logit_stays(shape: str) -> None:
    problem = forget_problems.problem(Kind.CLASS, **SHAPES[shape])  # type: ignore[arg-type]

    result = run.forget(METHOD, problem)

    before, after = logits_of(problem, {**problem.params}), logits_of(problem, {**result.params})
    kept = list(problem.remaining_classes)
    assert not set(after.argmax(1).tolist()) & {*problem.classes}
    assert torch.equal(after[:, kept], before[:, kept])
    assert bool((after[:, list(problem.classes)] < -5_000).all())


def test_one_number_a_class_is_all_that_changes() -> None:
    problem = forget_problems.problem(Kind.CLASS, classes=(1, 3), build=forget_problems.cnn)

    result = run.forget(METHOD, problem)

    changed = sum(int((result.params[name] != each).sum()) for name, each in problem.params.items())
    assert changed == 2


def test_half_precision_stays_finite() -> None:
    problem = forget_problems.problem(Kind.CLASS)
    halved = {name: each.half() for name, each in problem.params.items()}

    result = run.forget(METHOD, forget_problems.problem(Kind.CLASS, params=halved))

    assert all(each.dtype == torch.float16 and torch.isfinite(each).all() for each in result.params.values())


def unbiased(num_classes: int) -> nn.Module:
    """A network whose last layer has no bias."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, num_classes, bias=False))


def log_probabilities(num_classes: int) -> nn.Module:
    """A network that mixes its classes after its last weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes), nn.LogSoftmax(dim=1))


def scaled(num_classes: int) -> nn.Module:
    """A network whose only number a class is a scale, which shifts by what it is shown."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(num_classes))

        def forward(self, logits: torch.Tensor) -> torch.Tensor:
            return logits * self.scale

    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes, bias=False), Scale())


@pytest.mark.parametrize("build", [unbiased, log_probabilities, scaled])
def test_a_network_without_a_bias_of_its_own_for_each_class_is_refused(build: object) -> None:
    problem = forget_problems.problem(Kind.CLASS, build=build)  # type: ignore[arg-type]

    with pytest.raises(IneffectiveError, match="choose another method"):
        run.forget(METHOD, problem)


def test_it_claims_no_more_than_suppression() -> None:
    assert METHOD.guarantee is Guarantee.SUPPRESSED
    assert METHOD.kinds == {Kind.CLASS}
