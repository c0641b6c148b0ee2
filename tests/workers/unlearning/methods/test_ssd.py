"""Selective synaptic dampening as a method: what it reads, what it forgets, what it refuses."""

import dataclasses

import pytest
import torch
from torch import nn

from benchmarks.memory import peak_bytes
from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.numerics.information import ClassInformation
from workers.unlearning import run
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError, MissingNeedError, ParametersError
from workers.unlearning.judges import MAX_SAMPLE_COST
from workers.unlearning.methods import ssd
from workers.unlearning.methods.ssd import METHOD, SsdParameters


def deep(num_classes):
    """Return a network of ten equal layers, so that no single tensor is most of a copy."""
    layers = [layer for _ in range(10) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 64), *layers, nn.Linear(64, num_classes))


def accuracy_of(problem, params, samples):
    return metrics.accuracy(*metrics.logits_of(problem.build(), params, samples))


def test_alpha_and_the_share_it_stands_for_give_the_same_bytes():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    by_alpha = run.forget(METHOD, problem, SsdParameters(alpha=2.0, dampening=0.5))
    by_rho = run.forget(METHOD, problem, SsdParameters(rho=0.5, dampening=0.5))

    assert all(torch.equal(by_alpha.params[name], by_rho.params[name]) for name in problem.params)
    assert by_alpha.parameters["strengths"] == by_rho.parameters["strengths"]


def test_rho_and_alpha_together_are_refused():
    with pytest.raises(ParametersError, match="state one of them"):
        SsdParameters(rho=0.3, alpha=2.0)


def test_a_class_is_forgotten_and_the_others_are_not():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    is_gone = problem.tuning.labels.numpy() == 1

    result = run.forget(METHOD, problem)

    assert accuracy_of(problem, result.params, problem.tuning.take(is_gone.nonzero()[0])) <= 0.2
    assert accuracy_of(problem, result.params, problem.tuning.take((~is_gone).nonzero()[0])) >= 0.9


def test_a_class_request_reads_held_out_samples_only():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    run.forget(METHOD, problem)

    assert problem.forget.source.rows_read == {*problem.tuning.positions.tolist()}


def test_a_class_request_with_stated_strength_reads_nothing():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))

    run.forget(METHOD, problem, SsdParameters(rho=0.3, dampening=1.0))

    assert problem.forget.source.rows_read == set()


def test_several_classes_go_one_after_the_other_without_those_forgotten_earlier():
    problem = forget_problems.problem(Kind.CLASS, classes=(2, 0), forgotten_classes=(3,))
    one_by_one = forget_problems.problem(Kind.CLASS, classes=(0,), forgotten_classes=(2, 3))
    strength = SsdParameters(rho=0.3, dampening=1.0)

    together = run.forget(METHOD, problem, strength)

    # Apart, each class knows itself and those that remain, whose Fishers stay those of the first weights.
    known = problem.class_information
    means = {label: known.fetch(label) for label in known.counts}
    without_2 = ClassInformation.of_means({c: means[c] for c in (0, 1)}, known.counts)
    without_0 = ClassInformation.of_means({c: means[c] for c in (1, 2)}, known.counts)
    first = run.forget(METHOD, dataclasses.replace(one_by_one, class_information=without_2), strength).params
    last = dataclasses.replace(
        forget_problems.problem(Kind.CLASS, classes=(2,), forgotten_classes=(0, 3)),
        params=first,
        class_information=without_0,
    )
    apart = run.forget(METHOD, last, strength)
    assert all(torch.equal(together.params[name], apart.params[name]) for name in problem.params)
    assert [step["class"] for step in together.parameters["strengths"]] == [0, 2]


def test_samples_are_forgotten_within_a_point_of_accuracy():
    problem = forget_problems.problem(Kind.SAMPLES)

    result = run.forget(METHOD, problem)

    drop = accuracy_of(problem, problem.params, problem.tuning) - accuracy_of(
        problem, result.params, problem.tuning
    )
    assert drop <= MAX_SAMPLE_COST
    assert result.diagnostics["samples_change"] > 0


def test_a_search_without_held_out_samples_is_refused_and_a_stated_strength_is_not():
    problem = forget_problems.problem(Kind.CLASS, holdout_counts=(0, 0, 0, 0))

    with pytest.raises(MissingNeedError, match="holdout split"):
        run.forget(METHOD, problem)
    assert run.forget(METHOD, problem, SsdParameters(rho=0.3, dampening=1.0)).params


def test_a_strength_that_changes_nothing_is_refused():
    problem = forget_problems.problem(Kind.SAMPLES)

    with pytest.raises(IneffectiveError, match="smaller rho"):
        run.forget(METHOD, problem, SsdParameters(rho=1.0, dampening=1.0))


def test_a_class_without_a_fisher_is_refused():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), train_counts=(12, 0, 12, 12))
    problem = dataclasses.replace(problem, forget=problem.retain)

    with pytest.raises(MissingNeedError, match=r"classes \[1\]"):
        run.forget(METHOD, problem)


def test_the_chosen_strength_and_its_rivals_are_told():
    result = run.forget(METHOD, forget_problems.problem(Kind.CLASS, classes=(1,)))

    (strength,) = result.parameters["strengths"]
    assert strength.keys() == {"class", "rho", "alpha", "dampening", "repair"}
    assert "retained=" in result.diagnostics["class_1_best_1"]
    assert "class_1_best_3" in result.diagnostics


IMPORTANCES = ("batch", "label_free")


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("kind", [Kind.CLASS, Kind.SAMPLES])
def test_another_importance_is_measured_on_retained_data_and_changes_the_outcome(importance, kind):
    problem = forget_problems.problem(kind, class_information=None)
    strength = SsdParameters(rho=0.3 if kind is Kind.CLASS else 0.1, dampening=1.0, importance=importance)

    measured = run.forget(METHOD, problem, strength)

    plain = dataclasses.replace(strength, importance="per_sample")
    kept = run.forget(METHOD, forget_problems.problem(kind), plain)
    assert problem.retain.source.rows_read >= {*problem.retain.positions.tolist()}
    assert any(not torch.equal(measured.params[name], kept.params[name]) for name in problem.params)
    assert measured.parameters["importance"] == importance


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_progress_never_falls_back_while_another_importance_is_measured(importance):
    heard = []

    problem = forget_problems.problem(Kind.CLASS, classes=(0, 2), progress=heard.append)
    run.forget(METHOD, problem, SsdParameters(importance=importance, repair=True))

    assert heard == sorted(heard) and heard[-1] == 1.0 and len(heard) > 3


def test_an_unknown_importance_is_refused():
    with pytest.raises(ParametersError, match="per_sample, batch, label_free"):
        SsdParameters(importance="hessian")


def test_a_repair_is_asked_for_by_the_request_and_recorded():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    strength = SsdParameters(rho=0.3, dampening=0.1, repair=True, repair_steps=2)

    result = run.forget(METHOD, problem, strength)

    (recorded,) = result.parameters["strengths"]
    assert recorded["repair"] == {"num_steps": 2, "learning_rate": 0.01}
    assert problem.retain.source.rows_read == {*problem.retain.positions.tolist()}


def test_a_class_that_no_strength_forgets_well_is_repaired_unless_the_request_forbids_it(monkeypatch):
    # Nearly nothing is left of any weight that a sample of class 1 depends on: the rest breaks.
    monkeypatch.setattr(ssd, "CLASS_DAMPENINGS", (1e-3,))
    hard = {"rho": 0.0, "repair_rate": 0.1}
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), train_counts=(60, 60, 60, 60))
    is_kept = (problem.tuning.labels != 1).numpy().nonzero()[0]

    repaired = run.forget(METHOD, problem, SsdParameters(**hard))
    forbidden = run.forget(METHOD, problem, SsdParameters(**hard, repair=False))

    assert repaired.parameters["strengths"][0]["repair"] is not None
    assert forbidden.parameters["strengths"][0]["repair"] is None
    kept = problem.tuning.take(is_kept)
    assert accuracy_of(problem, repaired.params, kept) > accuracy_of(problem, forbidden.params, kept)


def test_a_repair_without_retained_samples_is_refused():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    problem = dataclasses.replace(problem, retain=problem.retain.take(problem.retain.positions[:0]))

    with pytest.raises(MissingNeedError, match="retain_set"):
        run.forget(METHOD, problem, SsdParameters(repair=True))


def test_fishers_that_are_not_finite_are_refused_and_the_weights_stay():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    known = problem.class_information
    means = {c: {n: t.clone() for n, t in known.fetch(c).items()} for c in known.counts}
    means[2]["head.weight"][0, 0] = torch.nan
    problem = dataclasses.replace(problem, class_information=ClassInformation.of_means(means, known.counts))
    before = {name: tensor.clone() for name, tensor in problem.params.items()}

    with pytest.raises(MissingNeedError, match=r"head\.weight"):
        run.forget(METHOD, problem)

    assert all(torch.equal(before[name], problem.params[name]) for name in before)


def test_one_remaining_class_is_enough():
    problem = forget_problems.problem(Kind.CLASS, classes=(0, 2, 3))
    is_left = (problem.tuning.labels == 1).numpy().nonzero()[0]

    result = run.forget(METHOD, problem)

    assert accuracy_of(problem, result.params, problem.tuning.take(is_left)) == 1.0


@pytest.mark.parametrize("kind", [Kind.CLASS, Kind.SAMPLES])
def test_half_precision_weights_stay_half_and_forget(kind):
    problem = forget_problems.problem(kind, classes=(1,))
    halves = {name: t.half() if t.is_floating_point() else t for name, t in problem.params.items()}
    build = problem.build
    problem = dataclasses.replace(problem, params=halves, build=lambda: build().half())

    result = run.forget(METHOD, problem)

    assert {tensor.dtype for tensor in result.params.values()} == {torch.float16}
    assert any(not torch.equal(result.params[name], halves[name]) for name in halves)


def test_batch_norm_scales_dampened_to_nothing_leave_finite_outputs():
    problem = forget_problems.problem(Kind.CLASS, classes=(1,), build=forget_problems.cnn)

    result = run.forget(METHOD, problem, SsdParameters(rho=0.0, dampening=0.0, repair=False))

    scale = result.params["features.1.weight"]
    assert bool((scale == 0).any())
    logits, _ = metrics.logits_of(problem.build(), result.params, problem.tuning)
    assert torch.isfinite(logits).all()


def test_a_class_request_adds_at_most_four_copies_of_the_weights(monkeypatch):
    problem = forget_problems.problem(Kind.CLASS, classes=(0, 2), build=deep)
    known = problem.class_information
    # What is kept is read anew each time, as from a file.
    fetched = ClassInformation(
        known.counts,
        lambda label: {n: t.clone() for n, t in known.fetch(label).items()},
        lambda: {n: t.clone() for n, t in known.whole().items()},
    )
    problem = dataclasses.replace(problem, class_information=fetched)
    copy_bytes = sum(t.numel() * t.element_size() for t in problem.params.values())

    peak = peak_bytes(lambda: run.forget(METHOD, problem, SsdParameters(rho=0.3, dampening=0.1)))

    # A tensor in hand is held in float64 a few times over, and is a tenth of a copy here.
    assert peak <= 4.8 * copy_bytes
