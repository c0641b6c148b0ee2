"""A descent moves what it may, keeps the rest to the byte, and ends the same way every time."""

import dataclasses
import itertools

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics import metrics, seeding
from workers.unlearning.base import Kind
from workers.unlearning.errors import DivergedError
from workers.unlearning.training import descent, losses
from workers.unlearning.training.descent import Batch, Course

COURSE = Course(4, 0.1)


def descended(problem, course=COURSE, *, params=None, model=None, loss=losses.of_one_set, **more):
    params = problem.params if params is None else params
    batches = descent.stream(problem.retain, 8, params, 0, "retain")
    return descent.descend(model or problem.build(), params, [batches], loss, course, **more)


def problem_of(build=forget_problems.mlp, **changes):
    return forget_problems.problem(Kind.CLASS, build=build, **changes)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in other)


def loss_of(problem, params):
    logits, labels = metrics.logits_of(problem.build(), params, problem.retain)
    return float(metrics.cross_entropy(logits, labels).mean())


def test_a_descent_makes_its_loss_smaller():
    problem = problem_of()

    result = descended(problem)

    assert loss_of(problem, result) < loss_of(problem, problem.params)


def test_a_step_is_that_of_plain_gradient_descent():
    problem = problem_of()
    batch = next(descent.stream(problem.retain, 8, problem.params, 0, "retain"))
    weights = {name: tensor.double().requires_grad_() for name, tensor in problem.params.items()}
    logits = torch.func.functional_call(problem.build().double(), weights, (batch.images.double(),))
    gradients = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, batch.labels), [*weights.values()]
    )

    result = descended(problem, Course(1, 0.1))

    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        expected = (weight - 0.1 * gradient).detach().float()
        assert torch.allclose(result[name], expected, atol=1e-6)  # float32 against float64, one step


def test_masked_weights_keep_their_bytes_under_weight_decay_and_momentum():
    problem = problem_of()
    mask = {"head.weight": torch.zeros(4, 24, dtype=torch.bool)}
    mask["head.weight"][1] = True

    result = descended(problem, Course(4, 0.1, momentum=0.9, weight_decay=0.1), mask=mask)

    moved = result["head.weight"] != problem.params["head.weight"]
    assert not (moved & ~mask["head.weight"]).any()
    assert moved[1].any()
    assert same(result, {name: t for name, t in problem.params.items() if name != "head.weight"})


def test_a_whole_mask_names_tensors():
    problem = problem_of()

    result = descended(problem, mask=descent.whole(problem.params, ["head.bias"]))

    assert {name for name in result if not torch.equal(result[name], problem.params[name])} == {"head.bias"}


def test_half_precision_is_computed_in_single_and_stays_half():
    problem = problem_of()
    halves = {name: tensor.half() for name, tensor in problem.params.items()}
    heard = []

    def loss(network, batches):
        heard.append(batches[0].images.dtype)
        return losses.of_one_set(network, batches)

    result = descended(problem, params=halves, model=problem.build().half(), loss=loss)

    assert {*heard} == {torch.float32}
    assert {tensor.dtype for tensor in result.values()} == {torch.float16}
    assert not torch.equal(result["head.weight"], halves["head.weight"])


def test_statistics_move_only_if_the_course_adapts_them():
    problem = problem_of(forget_problems.cnn)
    running = [name for name in problem.params if "running" in name]

    kept = descended(problem)
    adapted = descended(problem, dataclasses.replace(COURSE, adapts_statistics=True))

    assert all(kept[name] is problem.params[name] for name in running)
    assert not any(torch.equal(adapted[name], problem.params[name]) for name in running)


def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before():
    problem = problem_of(forget_problems.cnn)
    first = descended(problem)
    torch.rand(3)

    second = descended(problem)

    assert same(first, second)


def test_a_descent_changes_neither_its_inputs_nor_the_global_generator():
    problem = problem_of(forget_problems.cnn)
    before = {name: tensor.clone() for name, tensor in problem.params.items()}
    model = problem.build()
    untrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()

    descended(problem, dataclasses.replace(COURSE, adapts_statistics=True), model=model)

    assert same(problem.params, before)
    assert same(model.state_dict(), untrained)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_descent_that_diverges_says_so():
    with pytest.raises(DivergedError, match="smaller learning rate"):
        descended(problem_of(), Course(4, 1e30))


def test_a_loss_that_is_not_finite_says_at_which_step():
    with pytest.raises(DivergedError, match="step 1 of 4"):
        descended(problem_of(), loss=lambda network, batches: losses.of_one_set(network, batches) / 0)


def test_a_gradient_that_is_too_long_is_shortened_to_its_bound():
    problem = problem_of()
    steep = lambda network, batches: 1e4 * losses.of_one_set(network, batches)  # noqa: E731

    result = descended(problem, Course(1, 0.5, max_gradient_norm=0.2), loss=steep)

    squares = [(result[name] - problem.params[name]).double().square().sum() for name in result]
    assert float(torch.stack(squares).sum().sqrt()) == pytest.approx(0.5 * 0.2, rel=1e-4)


def test_the_bound_on_a_gradient_counts_masked_weights_alone():
    problem = problem_of()
    mask = {"head.weight": torch.zeros(4, 24, dtype=torch.bool)}
    mask["head.weight"][1] = True
    steep = lambda network, batches: 1e4 * losses.of_one_set(network, batches)  # noqa: E731

    result = descended(problem, Course(1, 0.5, max_gradient_norm=0.2), loss=steep, mask=mask)

    moved = (result["head.weight"] - problem.params["head.weight"]).norm()
    assert float(moved) == pytest.approx(0.5 * 0.2, rel=1e-4)


def test_a_penalty_pulls_the_weights_and_is_told_the_step():
    problem = problem_of()
    steps = []

    def size(weights, step):
        steps.append(step)
        return 10 * torch.stack([weight.square().sum() for weight in weights.values()]).sum()

    result = descended(problem, Course(3, 0.01), penalty=size)

    assert steps == [0, 1, 2]
    assert all(result[name].norm() < problem.params[name].norm() for name in result)


def test_gradients_may_be_reshaped_by_name():
    problem = problem_of()

    result = descended(
        problem, shape_gradient=lambda name, gradient: gradient if name == "head.bias" else 0 * gradient
    )

    assert {name for name in result if not torch.equal(result[name], problem.params[name])} == {"head.bias"}


def test_each_batch_says_which_rows_it_holds():
    problem = problem_of()
    source = problem.retain.source

    batches = itertools.islice(descent.stream(problem.retain, 8, problem.params, 0, "retain"), 12)

    for batch in batches:
        assert torch.equal(batch.images, source.images(batch.positions.numpy()))
        assert batch.labels.tolist() == source.manifest.labels[batch.positions.numpy()].tolist()


def test_a_stream_gives_every_sample_once_an_epoch_in_another_order_each_time():
    problem = problem_of()
    batches = descent.stream(problem.retain, 8, problem.params, 0, "retain")

    epochs = [torch.cat([next(batches).positions for _ in range(5)]).tolist() for _ in range(2)]

    assert sorted(epochs[0]) == sorted(epochs[1]) == problem.retain.positions.tolist()
    assert epochs[0] != epochs[1]


def test_a_last_batch_of_one_joins_the_one_before():
    problem = problem_of()
    batches = descent.stream(problem.retain, 35, problem.params, 0, "retain")  # of 36

    assert len(next(batches).labels) == 36


def test_streams_of_other_names_have_other_orders():
    problem = problem_of()

    one, other = (next(descent.stream(problem.retain, 8, problem.params, 0, name)) for name in "ab")

    assert not torch.equal(one.positions, other.positions)


def test_a_step_takes_one_batch_of_each_set():
    problem = problem_of()
    heard = []

    def loss(network, batches):
        heard.append([len(batch.labels) for batch in batches])
        return sum(losses.cross_entropy(network, batch) for batch in batches)

    constant = Batch(torch.zeros(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64), torch.full((3,), -1))
    sets = [descent.stream(problem.retain, 8, problem.params, 0, "retain"), itertools.repeat(constant)]

    descent.descend(problem.build(), problem.params, sets, loss, Course(2, 0.1))

    assert heard == [[8, 3], [8, 3]]


def test_a_learning_rate_falls_along_a_half_cosine_or_stays():
    falling, steady = Course(4, 0.2), Course(4, 0.2, is_cosine=False)

    assert [falling.rate(step) for step in (0, 2)] == pytest.approx([0.2, 0.1])
    assert falling.rate(4) == pytest.approx(0)
    assert steady.rate(3) == 0.2


def test_progress_rises_to_one():
    heard = []

    descended(problem_of(), progress=heard.append)

    assert heard == [0.25, 0.5, 0.75, 1.0]


def test_dropout_follows_from_the_seed():
    build = lambda num_classes: torch.nn.Sequential(  # noqa: E731
        torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(16, num_classes)
    )
    with seeding.isolated(torch.device("cpu"), 0, "test"):
        problem = problem_of(build)
    course = dataclasses.replace(COURSE, adapts_statistics=True)

    first, again, other = (descended(problem, course, seed=seed) for seed in (0, 0, 1))

    assert same(first, again)
    assert not same(first, other)
