"""Every way to forget works in both settings, on whatever device the setting names."""

import functools
from collections import Counter

import pytest

from benchmarks.cache import Cache
from benchmarks.forgetting import FINE_TUNE, MASK, PAPER_RULE, requests, retrained, ways
from benchmarks.outcomes import measure
from benchmarks.setting import open_setting
from tests.fixtures.image_folders import write_cifar10
from workers.preparation.prepared import prepare
from workers.unlearning.errors import IneffectiveError

FORGOTTEN = (7,)  # of which the few images held out have some


def test_each_class_is_asked_for_once():
    assert [*requests(1, 0, is_small=False)] == [(label,) for label in range(10)]


@pytest.mark.parametrize("size", [2, 3])
def test_groups_differ_and_start_with_the_first_classes(size):
    groups = [*requests(size, seed=5, is_small=False)]

    assert groups[0] == tuple(range(size))
    assert max(Counter(groups).values()) == 1
    assert all(len(set(group)) == size and group == tuple(sorted(group)) for group in groups)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_residual_network_forgets_by_every_way(tmp_path):
    write_cifar10(tmp_path, num_train=80, num_test=20)
    setting = open_setting("cifar10", tmp_path, epochs=1)
    cache = Cache(tmp_path / "cache", setting)
    base, _ = cache.model(0)
    made = functools.cache(lambda: prepare(setting.build, base, setting.source, setting.recipe_of(0)))

    found = {}
    for way in (*ways(setting, base, made, FORGOTTEN, 0), retrained(cache, FORGOTTEN, 0)):
        try:
            params, seconds = way.forget()
        except IneffectiveError:
            continue  # noise holds nothing to forget, and a method may say so
        found[way.name] = measure(setting, way, 0, FORGOTTEN, base, params, seconds, 16 * way.has_relapse)

    assert {PAPER_RULE, FINE_TUNE, MASK, "retrain"} <= found.keys()
    assert found[MASK].error == 1.0
    assert [*found[PAPER_RULE].relapses] == ["0.001x1", "0.001x2", "0.01x1", "0.01x2"]
