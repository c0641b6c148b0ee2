"""What the papers' baselines have in common: what they read, what they cost, what they need."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.unlearning import registry, run
from workers.unlearning.base import Kind, Need
from workers.unlearning.errors import MissingNeedError
from workers.unlearning.training import budget

METHODS = registry.discover()
RETAINED_ONLY = ("fine_tune", "l1_sparse", "cf_k", "eu_k", "lwsf", "unsir")
BOTH_SETS = ("neg_grad_plus", "random_label", "bad_teacher", "salun", "erm_ktp")
TRAINED = (*RETAINED_ONLY, *BOTH_SETS, "neg_grad")
SEARCHED = ("influence", "fisher_forgetting")
CLASS_FORGETTERS = ("neg_grad", "random_label", "bad_teacher", "salun", "eu_k", "erm_ktp")


def kind_of(name):
    return max(METHODS[name].kinds, key=[Kind.CLASS, Kind.SAMPLES].index)


def problem_of(name, **changes):
    return forget_problems.problem(kind_of(name), **changes)


def halves_of(name):
    problem = problem_of(name)
    build = problem.build
    params = {key: tensor.half() for key, tensor in problem.params.items()}
    return dataclasses.replace(problem, params=params, build=lambda: build().half())


def nothing_of(samples):
    return samples.take(np.empty(0, dtype=np.int64))


def accuracy_of(problem, params, samples):
    return metrics.accuracy(*metrics.logits_of(problem.build(), params, samples))


@pytest.mark.parametrize("name", RETAINED_ONLY)
def test_methods_that_need_retained_data_alone_read_nothing_else(name):
    problem = problem_of(name)

    run.forget(METHODS[name], problem)

    assert problem.retain.source.rows_read <= {*problem.retain.positions.tolist()}


def test_ascent_reads_the_forget_set_alone():
    problem = problem_of("neg_grad")

    run.forget(METHODS["neg_grad"], problem)

    assert problem.retain.source.rows_read == {*problem.forget.positions.tolist()}


@pytest.mark.parametrize("name", BOTH_SETS)
def test_methods_of_two_sets_read_training_data_alone(name):
    problem = problem_of(name)

    run.forget(METHODS[name], problem)

    learned = {*problem.retain.positions.tolist(), *problem.forget.positions.tolist()}
    assert problem.retain.source.rows_read <= learned
    assert problem.retain.source.rows_read & {*problem.forget.positions.tolist()}


@pytest.mark.parametrize("name", TRAINED)
def test_twice_the_budget_is_about_twice_the_steps(name):
    # of many short batches, so that what is spent once and what is rounded off weigh little
    recipe = {"epochs": 30, "batch_size": 2}
    problem = problem_of(name, recipe=recipe, train_counts=(6, 6, 6, 6))
    few, many = (
        run.forget(METHODS[name], problem, METHODS[name].Parameters(budget=share)).parameters
        for share in (0.2, 0.4)
    )

    assert 1.7 <= steps_of(many) / steps_of(few) <= 2.5


@pytest.mark.parametrize("name", TRAINED)
def test_steps_on_a_batch_of_each_set_fit_the_budget(name):
    problem = problem_of(name, recipe={"epochs": 30, "batch_size": 8})

    record = run.forget(METHODS[name], problem).parameters

    smallest_step = min(8, len(problem.forget))
    assert steps_of(record) * smallest_step <= 0.1 * budget.training_samples(problem)
    assert record["batch_size"] == 8


@pytest.mark.parametrize("name", [*TRAINED, *SEARCHED])
def test_what_a_method_needs_is_asked_for_by_name(name):
    method = METHODS[name]
    absent = {
        Need.RETAIN_SET: lambda problem: {"retain": nothing_of(problem.retain)},
        Need.FORGET_SET: lambda problem: {"forget": nothing_of(problem.forget)},
        Need.TUNING_SET: lambda problem: {"tuning": nothing_of(problem.tuning)},
        Need.CODES: lambda problem: {"codes": None},
        Need.CLASS_FISHERS: lambda problem: {"class_information": None},
    }

    for need in method.needs:
        problem = problem_of(name)
        with pytest.raises(MissingNeedError, match=need.value):
            method.forget(dataclasses.replace(problem, **absent[need](problem)), method.Parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_methods_that_train_need_no_held_out_data(name):
    problem = problem_of(name, holdout_counts=(0, 0, 0, 0))

    result = run.forget(METHODS[name], problem)

    assert result.params.keys() == problem.params.keys()


@pytest.mark.parametrize("name", [*TRAINED, "influence", "fisher_forgetting"])
def test_half_precision_weights_stay_half_and_move(name):
    problem = halves_of(name)

    result = run.forget(METHODS[name], problem)

    assert {tensor.dtype for tensor in result.params.values()} == {torch.float16}
    assert any(not torch.equal(result.params[key], problem.params[key]) for key in problem.params)


@pytest.mark.parametrize("name", [*TRAINED, "influence", "fisher_forgetting"])
def test_a_class_forgotten_earlier_is_no_obstacle(name):
    problem = problem_of(name, forgotten_classes=(3,))
    known = problem.retain.labels.numpy() != 3
    problem = dataclasses.replace(problem, retain=problem.retain.take(known.nonzero()[0]))

    result = run.forget(METHODS[name], problem)

    assert result.params.keys() == problem.params.keys()


@pytest.mark.parametrize("name", CLASS_FORGETTERS)
def test_a_class_goes_where_the_budget_is_generous(name):
    method = METHODS[name]
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), recipe={"epochs": 60, "batch_size": 8})

    result = run.forget(method, problem, method.Parameters(budget=0.5, learning_rate=0.1))

    # the untrained network that the bad teacher teaches may happen to name the class for some samples
    assert accuracy_of(problem, result.params, problem.forget) <= 0.3
    if name != "neg_grad":  # which keeps nothing else from harm
        assert accuracy_of(problem, result.params, problem.retain) >= 0.8


def steps_of(record):
    if "num_steps" in record:
        return record["num_steps"]
    return record["impairing"]["num_steps"] + record["repairing"]["num_steps"]
