"""The competition's entries: what each breaks and what it trains on, within what budget."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.fixtures import forget_problems
from workers.numerics import metrics
from workers.numerics.params import state_of
from workers.unlearning import gradients, registry, run
from workers.unlearning.base import Kind
from workers.unlearning.errors import MissingNeedError, ParametersError
from workers.unlearning.methods import (
    competition_confusion,
    competition_contrast,
    competition_cycles,
    competition_distillation,
    competition_gradients,
    competition_noise,
    competition_pruning,
    competition_transpose,
)
from workers.unlearning.training.descent import Batch

ENTRIES = {name: one for name, one in registry.discover().items() if name.startswith("competition_")}
PSEUDO = competition_transpose.TransposeParameters(approach="pseudo_labels")
every_entry = pytest.mark.parametrize("name", ENTRIES)


def problem_of(kind=Kind.CLASS, build=forget_problems.cnn, **changes):
    return forget_problems.problem(kind, build=build, **changes)


def barely(name, **changes):
    """Return parameters under which the rebuilding does next to nothing, so that the breaking shows."""
    return ENTRIES[name].Parameters(learning_rate=1e-9, weight_decay=0.0, **changes)


def moved(problem, result, limit=1e-5):
    """Return name -> where the parameters changed."""
    return {
        name: (result.params[name] - problem.params[name]).abs() > limit
        for name in dict(problem.build().named_parameters())
    }


def batch_of(problem, samples, size=6):
    images, labels = next(samples.batches(size))
    return Batch(images, labels, torch.from_numpy(samples.positions[:size]))


def test_there_are_eight_and_each_says_why_it_is_experimental():
    assert len(ENTRIES) == 8
    assert all("score rewards outputs that vary" in one.experimental for one in ENTRIES.values())


@every_entry
def test_nothing_left_to_train_on_is_refused(name):
    problem = problem_of(Kind.SAMPLES)
    nothing = problem.retain.take(np.empty(0, dtype=np.int64))

    with pytest.raises(MissingNeedError, match="no training sample"):
        run.forget(ENTRIES[name], dataclasses.replace(problem, retain=nothing))


@every_entry
def test_no_entry_reads_more_than_a_tenth_of_the_training(name, monkeypatch):
    problem = problem_of(train_counts=(40, 40, 40, 40))
    read = []
    inside = problem.retain.source.images
    monkeypatch.setattr(problem.retain.source, "images", lambda at: read.append(len(at)) or inside(at))

    run.forget(ENTRIES[name], problem)

    # One sample finds the last layer; those that are only passed forward count a third.
    uncounted = 1.1 if name == "competition_contrast" else 1.0
    assert sum(read) <= uncounted * 0.1 * forget_problems.NUM_STEPS * 160 + 1


@every_entry
def test_statistics_are_kept_where_the_request_says_so(name):
    problem = problem_of()

    result = run.forget(
        ENTRIES[name], problem, ENTRIES[name].Parameters(adapts_statistics=False, learning_rate=1e-4)
    )

    assert all(result.params[key] is problem.params[key] for key in problem.params if "running" in key)


@every_entry
def test_a_network_of_one_layer_is_served(name):
    problem = problem_of(build=lambda classes: nn.Sequential(nn.Flatten(), nn.Linear(16, classes)))

    result = run.forget(ENTRIES[name], problem)

    assert not torch.equal(result.params["1.weight"], problem.params["1.weight"])


@every_entry
def test_half_precision_comes_back_in_half_precision(name):
    problem = problem_of(build=forget_problems.mlp)
    make = problem.build
    halved = dataclasses.replace(
        problem,
        build=lambda: make().to(torch.bfloat16),
        params={key: tensor.to(torch.bfloat16) for key, tensor in problem.params.items()},
    )

    result = run.forget(ENTRIES[name], halved)

    assert result.params["head.weight"].dtype == torch.bfloat16


def test_contrast_is_the_formula_of_the_slides():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    answers = {3: x, 5: y}
    batches = [
        Batch(torch.zeros(len(one), 1), torch.zeros(len(one)), torch.zeros(len(one))) for one in (x, y)
    ]

    found = competition_contrast.contrast(lambda images: answers[len(images)], batches, 1.15)

    rows = []
    for i in range(3):
        powers = [math.exp(float(x[i] @ y[t]) / 1.15) for t in range(5)]
        rows.append(-sum(math.log(power / sum(powers)) for power in powers) / 5)
    assert float(found) == pytest.approx(sum(rows) / 3, rel=1e-12)


def test_contrast_holds_the_retained_answers_still():
    x, y = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    batches = [
        Batch(torch.zeros(len(one), 1), torch.zeros(len(one)), torch.zeros(len(one))) for one in (x, y)
    ]

    competition_contrast.contrast(lambda images: {3: x, 5: y}[len(images)] * 1.0, batches, 1.15).backward()

    assert x.grad is not None and y.grad is None


def test_contrast_first_brings_the_forget_set_near_the_uniform_distribution():
    problem = problem_of(build=forget_problems.mlp, classes=(1,))
    before = metrics.logits_of(problem.build(), problem.params, problem.forget)[0]
    given = barely("competition_contrast", flatten_rate=0.1, contrast_rate=1e-9, budget=1.0)

    result = run.forget(ENTRIES["competition_contrast"], problem, given)

    after = metrics.logits_of(problem.build(), result.params, problem.forget)[0]
    assert entropy_of(after).mean() > entropy_of(before).mean()


def test_contrast_has_as_many_rounds_as_the_budget_holds_epochs():
    problem = problem_of(train_counts=(40, 40, 40, 40))

    rounds = [
        competition_contrast.Plan.of(problem, competition_contrast.ContrastParameters(budget=share)).rounds
        for share in (0.01, 0.1, 0.2, 1.0)
    ]

    assert rounds == [1, 3, 7, 8]


def test_gradients_resets_the_filter_weights_that_both_sets_pull_alike():
    problem = problem_of(train_counts=(12, 12), holdout_counts=(6, 6))  # as many retained as forgotten
    kept = gradients.mean(problem.build(), problem.params, problem.retain)
    gone = gradients.mean(problem.build(), problem.params, problem.forget)

    masks = competition_gradients.reset_masks(problem, 0.3)

    assert masks.keys() == {"features.0.weight", "features.3.weight", "features.7.weight"}
    difference = {name: (kept[name] - gone[name]).abs() for name in masks}
    inside = torch.cat([difference[name][mask] for name, mask in masks.items()])
    outside = torch.cat([difference[name][~mask] for name, mask in masks.items()])
    assert inside.max() <= outside.min() + 1e-7
    assert len(inside) == int(0.3 * (len(inside) + len(outside)))


def test_gradients_holds_back_what_is_not_reset():
    problem = problem_of(build=forget_problems.mlp)
    make = ENTRIES["competition_gradients"].Parameters

    still = run.forget(ENTRIES["competition_gradients"], problem, make(kept_rate=0.0, weight_decay=0.0))
    free = run.forget(ENTRIES["competition_gradients"], problem, make(kept_rate=1.0, weight_decay=0.0))

    assert torch.equal(still.params["head.bias"], problem.params["head.bias"])
    assert not torch.equal(free.params["head.bias"], problem.params["head.bias"])


def test_confusion_shakes_the_first_filters_alone():
    problem = problem_of()

    result = run.forget(ENTRIES["competition_confusion"], problem, barely("competition_confusion"))

    assert {name for name, where in moved(problem, result).items() if where.any()} == {"features.0.weight"}


def test_confusion_weighs_classes_by_their_rarity():
    problem = problem_of(Kind.SAMPLES, train_counts=(40, 10, 10, 20), num_samples=1)
    counts = torch.bincount(problem.retain.labels)
    logits = torch.zeros(len(problem.retain), 4)
    batch = batch_of(problem, problem.retain, len(problem.retain))

    value = competition_confusion.weighted_by_class(problem)(lambda _: logits, [batch])
    rare = competition_confusion.weighted_by_class(problem)(
        lambda images: torch.zeros(len(images), 4), [batch_of(problem, of_class(problem.retain, 1), 10)]
    )

    assert float(value) == pytest.approx(math.log(4), rel=1e-5)
    assert float(rare) == pytest.approx(math.log(4) * len(problem.retain) / (4 * int(counts[1])), rel=1e-5)


def test_pruning_takes_out_the_smallest_weights_and_zeroes_the_smallest_biases():
    problem = problem_of(build=forget_problems.mlp)
    sizes = torch.cat([tensor.abs().flatten() for tensor in problem.params.values()])
    limit = sizes.sort().values[int(0.5 * len(sizes))]

    params, num_pruned = competition_pruning.pruned(problem, 0.5)

    assert num_pruned == int(0.5 * len(sizes))
    for name, before in problem.params.items():
        is_small = before.abs() < limit
        assert torch.equal(params[name][~is_small], before[~is_small])
        changed = params[name][is_small]
        assert (
            bool((changed == 0).all()) if name.endswith("bias") else bool((changed != before[is_small]).all())
        )


def test_pruning_leaves_norms_alone():
    problem = problem_of()

    params, _ = competition_pruning.pruned(problem, 1.0)

    assert params["features.1.weight"] is problem.params["features.1.weight"]
    assert not torch.equal(params["features.0.weight"], problem.params["features.0.weight"])


def test_pruning_asks_for_the_entropy_of_the_original():
    problem = problem_of(Kind.SAMPLES, build=forget_problems.mlp)
    batch = batch_of(problem, problem.retain)
    network = problem.build()
    original = torch.func.functional_call(network, problem.params, (batch.images,))

    def with_weight(weight, logits):
        loss = competition_pruning.entropy_guided(problem, 0.0, weight)
        return float(loss(lambda _: logits, [batch]))

    flat = torch.zeros_like(original)
    strayed = (entropy_of(original) - math.log(4)).square().mean()
    assert with_weight(1.0, original) == pytest.approx(with_weight(0.0, original), abs=1e-6)
    assert with_weight(2.0, flat) - with_weight(0.0, flat) == pytest.approx(2 * float(strayed), rel=1e-4)


def test_pruning_weighs_classes_by_a_power_of_their_number():
    problem = problem_of(
        Kind.SAMPLES, build=forget_problems.mlp, train_counts=(41, 10, 10, 20), num_samples=1
    )
    counts = torch.bincount(problem.retain.labels).double()
    loss = competition_pruning.entropy_guided(problem, -0.1, 0.0)

    def on_class(label):
        batch = batch_of(problem, of_class(problem.retain, label), 10)
        return float(loss(lambda images: torch.zeros(len(images), 4), [batch]))

    weights = counts**-0.1 * counts.sum() / (counts**0.9).sum()
    assert on_class(1) == pytest.approx(math.log(4) * float(weights[1]), rel=1e-5)
    assert on_class(1) > on_class(0)


def test_transpose_mirrors_every_square_kernel():
    problem = problem_of()

    params, num_turned = competition_transpose.transposed(problem)

    assert num_turned == 3
    before, after = problem.params["features.3.weight"], params["features.3.weight"]
    assert all(
        after[..., row, column].equal(before[..., column, row]) for row in range(3) for column in range(3)
    )


def test_transpose_leaves_kernels_that_are_not_square():
    build = lambda: nn.Sequential(nn.Conv2d(1, 4, (1, 3)), nn.Conv2d(4, 4, 1), nn.Flatten())  # noqa: E731
    problem = dataclasses.replace(problem_of(), build=build, params=state_of(build()))

    params, num_turned = competition_transpose.transposed(problem)

    assert num_turned == 0
    assert all(params[name] is tensor for name, tensor in problem.params.items())


def test_pseudo_labels_are_the_errors_that_others_would_make():
    problem = problem_of(build=forget_problems.mlp, classes=(1,))
    before = metrics.logits_of(problem.build(), problem.params, problem.forget)[0].argmax(1)
    assert bool((before == 1).all())

    def always(label, height):
        params = {name: torch.zeros_like(tensor) for name, tensor in problem.params.items()}
        return {**params, "head.bias": height * functional.one_hot(torch.tensor(label), 4).float()}

    lost = competition_transpose.pseudo_labels(problem, always(2, 9.0), always(0, 0.1), 0.25)
    sure = competition_transpose.pseudo_labels(problem, always(2, 9.0), always(0, 9.0), 0.25)
    kept = competition_transpose.pseudo_labels(problem, problem.params, always(0, 0.1), 0.25)

    assert lost == dict.fromkeys(problem.forget.positions.tolist(), 2)
    assert sure == dict.fromkeys(problem.forget.positions.tolist(), 0)
    assert kept == {}


def test_no_pseudo_label_is_a_class_that_is_gone():
    problem = problem_of(build=forget_problems.mlp, classes=(1,), forgotten_classes=(2,))
    params = {name: torch.zeros_like(tensor) for name, tensor in problem.params.items()}
    of_gone = {**params, "head.bias": torch.tensor([0.0, 0.0, 9.0, 0.0])}

    assert competition_transpose.pseudo_labels(problem, of_gone, of_gone, 0.25) == {}


def test_pseudo_labels_run_to_the_end():
    heard = []

    result = run.forget(ENTRIES["competition_transpose"], problem_of(progress=heard.append), PSEUDO)

    assert heard == sorted(heard) and heard[-1] == 1.0
    assert result.diagnostics["num_pseudo_labels"] >= 0


def test_an_unknown_approach_is_refused():
    with pytest.raises(ParametersError, match="approach must be one of"):
        competition_transpose.TransposeParameters(approach="both")


def test_distillation_resets_the_first_and_the_last_layer():
    problem = problem_of()

    result = run.forget(ENTRIES["competition_distillation"], problem, barely("competition_distillation"))

    changed = {name for name, where in moved(problem, result).items() if where.any()}
    assert changed == {"features.0.weight", "head.weight", "head.bias"}


def test_distillation_warms_up_on_held_out_samples_of_classes_that_remain():
    problem = problem_of(classes=(1,), forgotten_classes=(3,))
    nothing = problem.tuning.take(np.empty(0, dtype=np.int64))

    assert {*competition_distillation.held_out(problem).labels.tolist()} == {0, 2}
    assert competition_distillation.held_out(dataclasses.replace(problem, tuning=nothing)) is problem.retain


def test_distillation_sums_three_losses():
    problem = problem_of(Kind.SAMPLES, build=forget_problems.mlp)
    batch = batch_of(problem, problem.retain)
    told, taught = torch.randn(2, 6, 4, dtype=torch.float64)

    found = competition_distillation.three_losses(lambda _: told, [batch], lambda _: taught, 2.0)

    logs, likely = told.log_softmax(1), taught.softmax(1)
    hard = -sum(logs[i, label] for i, label in enumerate(batch.labels.tolist())) / 6
    soft = -(likely * logs).sum() / 6
    warm = (taught / 2).softmax(1)
    divergence = (warm * (warm.log() - (told / 2).log_softmax(1))).sum() / 6
    assert float(found) == pytest.approx(float(hard + soft + divergence), rel=1e-12)


def test_noise_resets_the_head_and_shakes_as_many_layers_as_asked():
    problem = problem_of()
    given = barely("competition_noise", num_layers=2)

    result = run.forget(ENTRIES["competition_noise"], problem, given)

    changed = {name for name, where in moved(problem, result).items() if where.any()}
    shaken = {name.rpartition(".")[0] for name in changed}
    assert {"head.weight", "head.bias"} <= changed
    assert len(shaken) == 3


def test_noise_draws_layers_from_the_seed():
    problem = problem_of()
    last = ("head.weight", "head.bias")

    drawn = {
        competition_noise.drawn_layers(dataclasses.replace(problem, seed=seed), last, 2) for seed in range(9)
    }

    assert len(drawn) > 1
    assert not any({*last} & {*one} for one in drawn)


def test_cycles_reset_a_tenth_of_each_matrix_but_the_head():
    problem = problem_of()

    masks = competition_cycles.drawn_weights(problem, competition_cycles.pool(problem), 0.1, cycle=0)

    assert masks.keys() == {"features.0.weight", "features.3.weight", "features.7.weight"}
    assert all(int(mask.sum()) == int(0.1 * mask.numel()) for mask in masks.values())


def test_cycles_draw_other_weights_each_time():
    problem = problem_of()
    names = competition_cycles.pool(problem)

    first, second = (competition_cycles.drawn_weights(problem, names, 0.1, cycle) for cycle in range(2))

    assert not all(torch.equal(first[name], second[name]) for name in names)


def test_cycles_spare_projection_shortcuts():
    build = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)
    )
    problem = dataclasses.replace(problem_of(), build=build, params=state_of(build()))

    assert competition_cycles.pool(problem) == ("0.weight",)


@pytest.mark.parametrize(
    ("num_steps", "num_cycles", "expected"),
    [(50, 3, [10, 20, 20]), (2, 3, [1, 1]), (1, 3, [1]), (70, 4, [10, 20, 20, 20])],
)
def test_cycles_share_the_steps_by_the_entrys_epochs(num_steps, num_cycles, expected):
    assert competition_cycles.shared_out(num_steps, num_cycles) == expected


def test_cycles_remember_the_logits_of_the_original():
    problem = problem_of(Kind.SAMPLES, build=forget_problems.mlp)
    batch = batch_of(problem, problem.retain)
    original = torch.func.functional_call(problem.build(), problem.params, (batch.images,))

    loss = competition_cycles.remembering(problem, 0.0, cycle=0)

    assert float(loss(lambda _: original, [batch])) == pytest.approx(0.0, abs=1e-9)
    assert float(loss(lambda _: original + 2.0, [batch])) == pytest.approx(4.0, rel=1e-4)


def test_cycles_show_the_network_and_the_original_the_same_noisy_images():
    problem = problem_of(Kind.SAMPLES, build=forget_problems.mlp)
    batch, shown = batch_of(problem, problem.retain), []
    network = problem.build()

    def answer(images):
        shown.append(images)
        return torch.func.functional_call(network, problem.params, (images,))

    value = competition_cycles.remembering(problem, 0.5, cycle=0)(answer, [batch])

    assert float((shown[0] - batch.images).std()) == pytest.approx(0.5, rel=0.2)
    assert float(value.detach()) == pytest.approx(0.0, abs=1e-9)


def entropy_of(logits):
    return torch.distributions.Categorical(logits=logits).entropy()


def of_class(samples, label):
    return samples.take((samples.labels == label).numpy().nonzero()[0])
