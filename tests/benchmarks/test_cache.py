"""The cache trains a model once, and never hands out one of another recipe or data."""

import pytest
import torch

from benchmarks import cache as caching
from benchmarks.cache import Cache
from benchmarks.setting import open_setting
from tests.fixtures.image_folders import write_mnist


@pytest.fixture
def cache(tmp_path):
    write_mnist(tmp_path)
    return Cache(tmp_path / "cache", open_setting("mnist", tmp_path, epochs=1))


def test_a_trained_model_is_read_the_second_time(cache, monkeypatch):
    first, seconds = cache.model(0)
    monkeypatch.setattr(caching, "train", None)

    second, seconds_again = cache.model(0)

    assert seconds_again == seconds > 0
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_models_that_differ_in_anything_have_files_of_their_own(cache):
    cache.model(0)
    cache.model(1)
    cache.model(0, with_codes=False)
    cache.model(0, without=(3,))
    Cache(cache.folder, cache.setting.with_learning_rate(0.02)).model(0)

    assert len([*cache.folder.glob("*.safetensors")]) == 5


def test_a_model_retrained_without_a_class_never_names_it(cache):
    setting = cache.setting.with_learning_rate(0.1)

    params, _ = Cache(cache.folder, setting).model(0, without=(3,))

    with torch.no_grad():
        bias = params["3.bias"]
    assert int(bias.argmin()) == 3
