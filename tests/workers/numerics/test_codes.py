"""Mnemonic codes lie in the network's input scale and depend on the recorded seed alone."""

import torch

from workers.numerics import codes as module
from workers.numerics.codes import CodeBook, draw_codes


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


def test_a_batch_of_codes_is_drawn_as_all_codes_are():
    codes = draw_codes(5, (1, 8, 8), normalised=True, seed=4)
    labels = torch.tensor([3, 0, 3])

    assert torch.equal(CodeBook((1, 8, 8), normalised=True, seed=4).of(labels), codes[labels])


def test_no_more_codes_are_kept_than_fit(monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 3 * 4 * 64)
    book = CodeBook((1, 8, 8), normalised=False, seed=4)

    codes = book.of(torch.arange(50))

    assert book._kept.cache_info().currsize == 3
    assert torch.equal(codes, draw_codes(50, (1, 8, 8), normalised=False, seed=4))


def test_a_code_that_fits_nowhere_is_drawn_each_time(monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 10)
    book = CodeBook((1, 8, 8), normalised=False, seed=4)

    assert torch.equal(book.of(torch.tensor([1])), book.of(torch.tensor([1])))


def test_an_image_is_its_own_or_the_code_of_its_class():
    book = CodeBook((1, 8, 8), normalised=False, seed=0)
    images = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(400) % 7
    before = images.clone()

    mixed = book.mixed(images, labels, 0.25, torch.Generator().manual_seed(1))

    is_code = (mixed == book.of(labels)).flatten(1).all(1)
    assert 60 < int(is_code.sum()) < 140  # 100 expected; 40 are 4.6 standard errors
    assert torch.equal(mixed[~is_code], images[~is_code])
    assert torch.equal(images, before)


def test_a_share_of_one_leaves_codes_alone_and_of_none_images_alone():
    book = CodeBook((1, 8, 8), normalised=False, seed=0)
    images, labels = torch.zeros(6, 1, 8, 8), torch.arange(6)

    assert torch.equal(book.mixed(images, labels, 1.0, torch.Generator()), book.of(labels))
    assert torch.equal(book.mixed(images, labels, 0.0, torch.Generator()), images)
