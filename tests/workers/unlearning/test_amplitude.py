"""The amplitude against the paper's equations, written out number by number."""

import dataclasses
import math

import pytest
import torch

from workers.numerics.information import ClassInformation
from workers.unlearning.amplitude import Amplitude, amplitudes_of, fetching_once, others_of
from workers.unlearning.errors import MissingNeedError

FISHERS = {
    0: {"w": torch.tensor([4e-4, 1e-8, 0.0])},
    1: {"w": torch.tensor([1e-6, 1e-4, 0.0])},
    2: {"w": torch.tensor([3e-6, 2e-4, 0.0])},
}


def information_of(fishers):
    return ClassInformation.of_means(fishers, dict.fromkeys(fishers, 1))


def amplitude_of(own, others):
    return amplitudes_of({"w": torch.tensor(own)}, {"w": torch.tensor(others, dtype=torch.float64)})["w"]


@pytest.mark.parametrize("lambda_1", [1e-6, 1e-2, math.inf])
@pytest.mark.parametrize("lambda_2", [1e-3, 1.0, 1e5])
def test_the_change_is_that_of_equations_5_to_7(lambda_1, lambda_2):
    others = others_of(information_of(FISHERS), [0])
    remaining = [(1e-6 + 3e-6) / 2, (1e-4 + 2e-4) / 2, 0.0]
    eta = [f / (r + sum(remaining) / 3) for f, r in zip([4e-4, 1e-8, 0.0], remaining, strict=True)]
    alpha = min(lambda_1, lambda_2 / max(eta))

    moved = amplitudes_of(FISHERS[0], others)["w"].moved(torch.ones(3).double(), -1, lambda_1, lambda_2)

    expected = torch.tensor([1 - alpha * each for each in eta], dtype=torch.float64)
    # the shape is kept in float32: 6e-8 of the largest change
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-6 * min(lambda_2, alpha * max(eta)))


def test_classes_that_leave_together_are_no_part_of_the_others():
    others = others_of(information_of(FISHERS), [0, 1])

    torch.testing.assert_close(others["w"], FISHERS[2]["w"].double(), rtol=1e-12, atol=1e-18)


def test_a_weight_that_no_remaining_code_reaches_does_not_take_everything():
    amplitude = amplitude_of([1e-4, 1e-4], [0.0, 1e-4])

    # the means are 5e-5: the ratios are 2 and 2/3, where the plain quotient's would be infinite and 1
    assert float(amplitude.shape[1] / amplitude.shape[0]) == pytest.approx(1 / 3)


def test_a_tensor_that_the_code_does_not_reach_has_no_amplitude():
    own = {"reached": torch.tensor([1e-4]), "not": torch.zeros(3)}

    amplitudes = amplitudes_of(own, {name: tensor.double() for name, tensor in own.items()})

    assert amplitudes.keys() == {"reached"}


def test_others_without_any_information_leave_the_shape_finite():
    amplitude = amplitude_of([4e-4, 1e-4], [0.0, 0.0])

    assert amplitude.shape.tolist() == pytest.approx([1.0, 0.25])
    assert math.isfinite(amplitude.log_peak)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1e-6])
@pytest.mark.parametrize("is_own", [True, False])
def test_a_fisher_that_is_no_square_is_refused(wrong, is_own):
    broken, sound = [wrong, 1e-4], [1e-4, 1e-4]

    with pytest.raises(MissingNeedError, match="'w': prepare the model again"):
        amplitude_of(broken if is_own else sound, sound if is_own else broken)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once_and_kept(kind):
    amplitude = Amplitude(torch.tensor([1.0, 1e-3]), 0.0)

    moved = amplitude.moved(torch.ones(2, dtype=kind), -1, math.inf, 1e-2)

    assert torch.equal(moved, torch.tensor([1 - 1e-2, 1 - 1e-5]).to(kind))


def test_a_strength_of_zero_moves_nothing():
    weights = torch.tensor([1.0, 2.0])

    assert torch.equal(Amplitude(torch.ones(2), 0.0).moved(weights, -1, math.inf, 0.0), weights)


def test_a_fisher_is_fetched_once_for_all_its_uses():
    fetched = []

    def fetch(label):
        fetched.append(label)
        return FISHERS[label]

    information = fetching_once(dataclasses.replace(information_of(FISHERS), fetch=fetch))

    others_of(information, [0])
    information.fetch(0)

    assert fetched == [0]


def test_as_many_fishers_are_kept_as_memory_has_room_for():
    fetched = []

    def fetch(label):
        fetched.append(label)
        return {"weight": torch.full((4,), float(label))}

    information = dataclasses.replace(information_of(FISHERS), fetch=fetch)
    roomy, tight = fetching_once(information, free_bytes=1 << 20), fetching_once(information, free_bytes=0)

    for _ in range(2):
        for label in (0, 1, 2):
            roomy.fetch(label)
    assert fetched == [0, 1, 2]
    for _ in range(2):
        for label in (0, 1, 2):
            tight.fetch(label)

    assert fetched == [0, 1, 2, 0, 1, 2, 0, 1, 2]
