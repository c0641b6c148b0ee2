"""The settings read their files exactly and keep the three splits apart."""

import numpy as np
import pytest
import torch

from benchmarks.setting import open_setting
from tests.fixtures.image_folders import write_cifar10, write_mnist


@pytest.mark.parametrize("is_packed", [True, False])
def test_mnist_files_are_read_in_their_order(tmp_path, is_packed):
    images, labels = write_mnist(tmp_path, is_packed=is_packed)

    source = open_setting("mnist", tmp_path, epochs=1).source

    mean, std = source.normalisation.mean[0], source.normalisation.std[0]
    expected = (torch.from_numpy(images).float()[:, None] / 255 - mean) / std
    assert np.array_equal(source.manifest.labels, labels)
    assert torch.allclose(source.images(np.arange(len(labels))), expected, atol=1e-6)


def test_a_tenth_of_the_training_images_is_held_out_and_the_test_part_is_left(tmp_path):
    write_mnist(tmp_path)

    setting = open_setting("mnist", tmp_path, epochs=1)

    sizes = {split: len(setting.samples(split)) for split in ("train", "holdout", "test")}
    assert sizes == {"train": 1350, "holdout": 150, "test": 297}
    assert setting.samples("test").positions.tolist() == [*range(1500, 1797)]
    assert set(setting.samples("train").positions).isdisjoint(setting.samples("holdout").positions)


def test_samples_of_some_classes_hold_no_others(tmp_path):
    write_mnist(tmp_path)
    setting = open_setting("mnist", tmp_path, epochs=1)

    chosen = setting.samples("test", (3, 7))

    assert set(chosen.labels.tolist()) == {3, 7}
    assert len(chosen) == sum(int(label in (3, 7)) for label in setting.samples("test").labels.tolist())


def test_cifar_strips_are_decoded_to_the_same_pixels(tmp_path):
    images = write_cifar10(tmp_path, num_train=130, num_test=20)

    setting = open_setting("cifar10", tmp_path, epochs=1)

    read = setting.source.images(np.arange(150))
    mean, std = (
        torch.tensor(each)[:, None, None]
        for each in (setting.source.normalisation.mean, setting.source.normalisation.std)
    )
    expected = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    assert torch.allclose(read * std + mean, expected, atol=1e-6)
    assert setting.build()(read[:2]).shape == (2, 10)


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="train"):
        open_setting("cifar10", tmp_path, epochs=1)
