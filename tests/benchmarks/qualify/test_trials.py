"""What the bar asks of a method, and that a trial tells doing nothing from retraining."""

import dataclasses

import numpy as np
import pytest

from benchmarks.qualify import trials
from benchmarks.qualify.populations import Population
from benchmarks.qualify.trials import Arena, ForgetSet, Trial, is_qualified
from benchmarks.ssd_digits import digits
from benchmarks.ulira import Attack
from workers.audit.comparison import Estimate
from workers.audit.competition.null import Standing
from workers.unlearning import registry
from workers.unlearning.base import Kind

BLIND = Attack(0.5, 0.4, 0.6, 0.6, 0.5, 64, 64)


def trial(share_low=0.8, ratio=1.0, num_models=64):
    """A trial of which only what the bar asks matters."""
    standing = Standing(
        num_models=num_models,
        epsilon=1.6,
        null_epsilon=1.6,
        excess=Estimate(0.0, -0.2, 0.2),
        forgetting=0.17,
        null_forgetting=0.17,
        share=Estimate(1.0, share_low, 1.3),
    )
    same, test = Estimate(1.0, 1.0, 1.0), Estimate(ratio, ratio, ratio)
    return Trial("way", "set", 22, 0, standing, 0.0, 0, 2.1, BLIND, BLIND, same, test, 0.1)


NOTHING = [trial(), trial(share_low=0.0)]


def test_a_method_qualifies_that_is_surely_half_as_good_as_retraining():
    assert is_qualified([trial(), trial(share_low=0.5)], NOTHING)


@pytest.mark.parametrize("missed", [{"share_low": 0.49}, {"ratio": 0.97}, {"num_models": 32}])
def test_whatever_is_missed_on_one_forget_set_is_missed(missed):
    assert not is_qualified([trial(), trial(**missed)], NOTHING)


def test_forget_sets_on_which_doing_nothing_passes_qualify_nobody():
    assert not is_qualified([trial(), trial()], [trial(), trial()])


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    """A class, and six models a side that were hardly trained."""
    source = digits()
    rows = source.manifest.positions("train")
    gone = rows[source.manifest.labels[rows] == 3]
    population = Population("mlp", source, has_codes=True, folder=tmp_path_factory.mktemp("cache"), epochs=3)
    forget_set = ForgetSet("class_3", Kind.CLASS, gone, gone[:10], (3,))
    return Arena(
        population=population,
        forget_set=forget_set,
        originals=population.trained(range(6), np.empty(0, dtype=np.int64)),
        seeds=range(6),
        retrained=population.trained(range(100, 112), gone),
        training_seconds=1.0,
    )


def test_doing_nothing_about_a_class_is_told_without_error(arena):
    found = trials.of_nothing(arena)

    assert found.standing.epsilon == 50.0 and found.attack.mean == pytest.approx(1.0, abs=0.05)
    assert found.standing.null_epsilon < 4 and not found.is_passed


def test_retrained_models_stand_like_the_null(arena):
    more = dataclasses.replace(
        arena, originals=arena.population.trained(range(200, 206), arena.forget_set.positions)
    )

    found = trials.of_nothing(more)

    assert found.standing.share.low < 1 < found.standing.share.high
    assert found.retained_ratio.value == pytest.approx(1.0, abs=0.05)


def test_a_method_is_run_on_every_original(arena):
    found = trials.of_method(arena, registry.discover()["one_shot"])

    assert (found.way, found.num_refused) == ("one_shot", 0)
    assert found.standing.epsilon < 50.0 and found.cost > 0
