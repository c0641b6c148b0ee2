"""The paper's rule follows its equations."""

import torch

from benchmarks.paper_rule import FLOOR, etas_of, perturbed

FISHERS = {
    0: {"w": torch.tensor([4.0, 1.0, 0.0])},
    1: {"w": torch.tensor([1.0, 1.0, 0.0])},
    2: {"w": torch.tensor([3.0, 1.0, 0.0])},
}


def test_eta_is_the_ratio_of_the_mean_fishers():
    (eta,) = etas_of(FISHERS, [0], [1, 2]).values()

    assert torch.allclose(eta.shape * 2.0, torch.tensor([2.0, 1.0, 1.0]))
    assert abs(eta.log_peak - float(torch.log(torch.tensor(2.0)))) < 1e-6


def test_several_classes_go_by_their_mean():
    (eta,) = etas_of(FISHERS, [0, 1], [2]).values()

    assert torch.allclose(eta.shape, torch.tensor([2.5 / 3, 1.0, 1.0]))


def test_the_largest_change_is_the_smaller_of_the_two_bounds():
    params = {"w": torch.zeros(3), "statistic": torch.ones(1)}
    etas = etas_of(FISHERS, [0], [1, 2])

    by_first = perturbed(params, etas, 1, lambda_1=0.25, lambda_2=10.0)
    by_second = perturbed(params, etas, -1, lambda_1=0.25, lambda_2=0.1)

    assert torch.allclose(by_first["w"], torch.tensor([0.5, 0.25, 0.25]))
    assert torch.allclose(by_second["w"], torch.tensor([-0.1, -0.05, -0.05]))
    assert torch.equal(by_first["statistic"], params["statistic"])


def test_a_fisher_that_only_the_forgotten_class_has_cannot_overflow():
    fishers = {0: {"w": torch.tensor([1e4])}, 1: {"w": torch.tensor([0.0])}}

    moved = perturbed({"w": torch.zeros(1)}, etas_of(fishers, [0], [1]), 1, lambda_1=1.0, lambda_2=2.0)

    assert FLOOR > 0
    assert torch.allclose(moved["w"], torch.tensor([2.0]))
