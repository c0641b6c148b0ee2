"""Equation 4 against the paper's own form, number by number, and what it refuses to be fed."""

import pytest
import torch

from workers.unlearning.dampening import Shares
from workers.unlearning.errors import MissingNeedError

FORGET = {"w": torch.tensor([4.0, 1.0, 0.0, 2.0])}
OTHERS = {"w": torch.tensor([15.0, 45.0, 0.0, 0.0])}
NUM_FORGET, NUM_OTHERS = 5, 15
WEIGHTS = {"w": torch.tensor([-2.0, 3.0, 5.0, -1.0]), "running_mean": torch.tensor([7.0])}


def shares():
    return Shares.of(FORGET, NUM_FORGET, OTHERS, NUM_OTHERS)


def slow_equation_4(alpha, dampening):
    """Equation 4, number by number: I_f against I_D of both."""
    damped = []
    for i, weight in enumerate(WEIGHTS["w"].tolist()):
        of_forget = float(FORGET["w"][i])
        of_all = (NUM_FORGET * of_forget + float(OTHERS["w"][i])) / (NUM_FORGET + NUM_OTHERS)
        is_selected = of_forget > alpha * of_all
        damped.append(weight * min(dampening * of_all / of_forget, 1) if is_selected else weight)
    return torch.tensor(damped)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("dampening", [0.0, 0.1, 1.0, 5.0])
def test_dampening_is_equation_4(alpha, dampening):
    dampened = shares().dampen(WEIGHTS, shares().strength(alpha * shares().fraction, dampening))

    torch.testing.assert_close(dampened["w"], slow_equation_4(alpha, dampening))
    assert dampened["running_mean"] is WEIGHTS["running_mean"]


def test_no_weight_grows_and_none_changes_its_sign():
    dampened = shares().dampen(WEIGHTS, shares().strength(0.0, 0.3))["w"]

    assert (dampened.abs() <= WEIGHTS["w"].abs()).all()
    assert (dampened * WEIGHTS["w"] >= 0).all()


def test_a_share_is_the_part_of_a_weights_information_that_the_forget_set_holds():
    torch.testing.assert_close(shares().rho["w"], torch.tensor([20 / 35, 5 / 50, 0.0, 1.0]))
    assert shares().fraction == 5 / 20


def test_a_tensor_that_no_sample_depends_on_is_left_alone_at_every_strength():
    nothing = {"w": torch.zeros(4)}

    dead = Shares.of(nothing, NUM_FORGET, nothing, NUM_OTHERS)

    assert torch.equal(dead.dampen(WEIGHTS, dead.strength(0.0, 0.0))["w"], WEIGHTS["w"])
    assert dead.quantiles((0.1, 0.5)) == []


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -1.0])
@pytest.mark.parametrize("of", ["forget", "others"])
def test_information_that_is_not_finite_or_negative_is_refused(broken, of):
    bad = {"w": torch.tensor([1.0, broken, 1.0, 1.0])}
    forget, others = (bad, OTHERS) if of == "forget" else (FORGET, bad)

    with pytest.raises(MissingNeedError, match="prepare the model again"):
        Shares.of(forget, NUM_FORGET, others, NUM_OTHERS)


def test_half_precision_weights_are_multiplied_in_the_precision_of_the_shares_and_rounded_once():
    halves = {name: tensor.half() for name, tensor in WEIGHTS.items()}
    strength = shares().strength(0.0, 0.3)

    dampened = shares().dampen(halves, strength)["w"]

    assert dampened.dtype is torch.float16
    assert torch.equal(dampened, shares().dampen(WEIGHTS, strength)["w"].half())


def test_quantiles_are_the_shares_above_which_a_fraction_of_the_weights_lies():
    quantiles = Shares({"a": torch.arange(1.0, 11.0) / 10, "b": torch.zeros(5)}, 0.1).quantiles(
        (0.0, 0.3, 1.0)
    )

    assert quantiles == pytest.approx([1.0, 0.7, 0.1])
