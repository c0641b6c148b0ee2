"""Mnemonic codes lie in the network's input scale and depend on the recorded seed alone."""

import torch

from workers.numerics.codes import draw_codes


def test_codes_for_raw_images_lie_in_the_unit_interval():
    codes = draw_codes(10, (3, 16, 16), normalised=False, seed=0)

    assert codes.shape == (10, 3, 16, 16) and codes.dtype == torch.float32
    assert codes.min() >= 0 and codes.max() < 1
    assert abs(float(codes.mean()) - 0.5) < 0.02  # 7,680 draws: more than six standard errors


def test_codes_for_standardised_images_are_standard_normal():
    codes = draw_codes(10, (3, 16, 16), normalised=True, seed=0)

    assert abs(float(codes.mean())) < 0.07 and abs(float(codes.std()) - 1) < 0.05


def test_a_code_does_not_depend_on_the_number_of_classes():
    few = draw_codes(2, (1, 8, 8), normalised=False, seed=4)
    many = draw_codes(5, (1, 8, 8), normalised=False, seed=4)

    assert torch.equal(few, many[:2])
    assert not torch.equal(many[0], many[1])


def test_another_seed_gives_other_codes():
    first = draw_codes(2, (1, 8, 8), normalised=False, seed=0)
    second = draw_codes(2, (1, 8, 8), normalised=False, seed=1)

    assert not torch.equal(first, second)
