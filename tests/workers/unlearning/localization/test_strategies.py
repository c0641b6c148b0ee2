"""Each strategy's masks, against slow references in float64 and against what its paper says."""

import dataclasses

import pytest
import torch
from torch import nn

from tests.fixtures import forget_problems
from tests.oracles import localization as oracle
from workers.numerics.params import state_of, trainable_names
from workers.unlearning import gradients
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.localization import channels, crit_mem, strategies, weighted_channels
from workers.unlearning.localization.strategies import Strategy

SHARES = {Strategy.SHALLOWEST: 0.85}  # the first layer of the small network is four fifths of it
CHANNELS = [
    *[[("features.1.weight", unit), ("features.1.bias", unit)] for unit in range(24)],
    *[[("head.weight", unit), ("head.bias", unit)] for unit in range(4)],
]


def wide_problem(**changes):
    """Return a problem in float64."""
    problem = forget_problems.problem(Kind.SAMPLES, **changes)
    params = {name: tensor.double() for name, tensor in problem.params.items()}
    build = problem.build
    return dataclasses.replace(problem, build=lambda: build().double(), params=params)


def located(problem, strategy, share=None, **changes):
    given = {"share": SHARES.get(strategy, 0.3) if share is None else share, "top_share": 0.1}
    return strategies.locate(problem, strategy, **{**given, "max_passes": 1000, **changes})


def test_the_gradient_is_the_mean_of_the_samples_own():
    problem = wide_problem()

    found = gradients.mean(problem.build(), problem.params, problem.forget)

    expected = oracle.gradient(problem.build(), problem.params, problem.forget)
    for name, slope in expected.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-9, atol=1e-12)


def test_batches_do_not_change_the_gradient(monkeypatch):
    problem = wide_problem()
    whole = gradients.mean(problem.build(), problem.params, problem.forget)
    monkeypatch.setattr("workers.unlearning.gradients.BATCH_SIZE", 3)

    parts = gradients.mean(problem.build(), problem.params, problem.forget)

    for name, slope in whole.items():
        torch.testing.assert_close(parts[name], slope, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("top_share", [0.01, 0.1, 0.5, 1.0])
def test_del_scores_are_those_of_the_reference(top_share):
    problem = wide_problem()
    slopes = oracle.gradient(problem.build(), problem.params, problem.forget)

    found = weighted_channels.scores(channels.blocks(problem.build()), problem.params, slopes, top_share)

    values = [oracle.channel_values(channel, problem.params, slopes) for channel in CHANNELS]
    expected = [oracle.top_mean(each, top_share) for each in values]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0.0)


def test_del_takes_whole_channels_from_the_top_of_the_list():
    problem = wide_problem()
    slopes = oracle.gradient(problem.build(), problem.params, problem.forget)
    scored = [oracle.top_mean(oracle.channel_values(each, problem.params, slopes), 0.1) for each in CHANNELS]
    limit, expected = int(0.3 * 508), set()
    for number in sorted(range(28), key=lambda at: -scored[at]):
        limit -= 17 if number < 24 else 25
        if limit < 0:
            break
        expected.add(number)

    masks = located(problem, Strategy.DEL).masks

    full = {name: masks.get(name, torch.zeros_like(problem.params[name]).bool()) for name in problem.params}
    whole = {at for at, each in enumerate(CHANNELS) if all(bool(full[name][i].all()) for name, i in each)}
    partly = {at for at, each in enumerate(CHANNELS) if any(bool(full[name][i].any()) for name, i in each)}
    assert whole == partly == expected


def test_sal_loc_takes_exactly_the_share_with_the_largest_gradients():
    problem = wide_problem()
    slopes = oracle.gradient(problem.build(), problem.params, problem.forget)

    found = located(problem, Strategy.SAL_LOC, share=0.29)

    assert found.num_weights == int(0.29 * 508)
    inside = [slopes[name].abs()[mask] for name, mask in found.masks.items()]
    outside = [
        slope.abs()[~found.masks[name]] if name in found.masks else slope.abs().flatten()
        for name, slope in slopes.items()
    ]
    assert torch.cat(inside).min() >= torch.cat(outside).max()


def test_a_share_of_a_hundredth_less_than_a_whole_number_in_binary_is_that_number():
    problem = wide_problem()
    problem = dataclasses.replace(
        problem, build=lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).double()
    )
    problem = dataclasses.replace(problem, params=state_of(problem.build()))  # 68 weights

    assert located(problem, Strategy.SAL_LOC, share=17 / 68).num_weights == 17


@pytest.mark.parametrize(
    ("strategy", "share", "expected"),
    [
        (Strategy.DEEPEST, 0.2, {"head.weight", "head.bias"}),
        (Strategy.DEEPEST, 0.5, {"head.weight", "head.bias"}),
        (Strategy.DEEPEST, 1.0, {"head.weight", "head.bias", "features.1.weight", "features.1.bias"}),
        (Strategy.SHALLOWEST, 0.85, {"features.1.weight", "features.1.bias"}),
    ],
)
def test_layers_are_taken_whole_from_one_end(strategy, share, expected):
    found = located(wide_problem(), strategy, share)

    assert found.masks.keys() == expected
    assert all(bool(mask.all()) for mask in found.masks.values())


def test_strategies_by_depth_read_no_data():
    problem = forget_problems.problem(Kind.SAMPLES)

    found = [located(problem, strategy, 0.85) for strategy in (Strategy.DEEPEST, Strategy.SHALLOWEST)]

    assert problem.forget.source.rows_read == set()
    assert [one.num_passes for one in found] == [0, 0]


def test_critical_channels_are_silenced_one_by_one_until_the_label_flips():
    problem = wide_problem()
    model, (image, label) = problem.build(), next(problem.forget.batches(1))
    image = image.double()
    one = problem.forget.take(torch.tensor([0]).numpy())
    params, expected = problem.params, []
    while is_given(torch.func.functional_call(model, params, (image,))[0], int(label)):
        slopes = oracle.gradient(model, params, one)
        sums = [sum(oracle.channel_values(channel, params, slopes)) for channel in CHANNELS]
        expected.append(max(range(28), key=lambda at, sums=sums: sums[at]))
        params = {name: tensor.clone() for name, tensor in params.items()}
        for name, unit in CHANNELS[expected[-1]]:
            params[name][unit] = 0.0

    named, passes = crit_mem.critical(model, problem.params, channels.blocks(model), image, label, 50)

    assert named == expected and len(expected) > 0
    assert passes == len(expected) + 1


def test_critical_channels_are_the_union_over_the_samples():
    problem = wide_problem()
    model = problem.build()
    blocks = channels.blocks(model)
    expected = set()
    for image, label in problem.forget.batches(1):
        expected |= {*crit_mem.critical(model, problem.params, blocks, image, label, 50)[0]}

    found = located(problem, Strategy.CRIT_MEM, share=1.0, max_passes=1e6)

    shapes = {name: problem.params[name].shape for name in trainable_names(model)}
    chosen = torch.zeros(28, dtype=torch.bool)
    chosen[[*expected]] = True
    assert_same(found.masks, channels.masks(blocks, chosen, shapes))


def test_critical_channels_cost_no_more_passes_than_allowed():
    found = located(wide_problem(), Strategy.CRIT_MEM, max_passes=3 * crit_mem.UNBATCHED)

    assert 0 < found.num_passes <= 3 * crit_mem.UNBATCHED


def test_samples_that_are_not_recognised_have_no_critical_channels():
    problem = wide_problem()
    silent = {name: torch.zeros_like(tensor) for name, tensor in problem.params.items()}
    silent["head.bias"] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    problem = dataclasses.replace(problem, params=silent)
    others = problem.forget.take((problem.forget.labels != 3).numpy().nonzero()[0])

    with pytest.raises(IneffectiveError, match="that the model recognises"):
        located(dataclasses.replace(problem, forget=others), Strategy.CRIT_MEM)


@pytest.mark.parametrize("strategy", [*Strategy])
@pytest.mark.parametrize("build", [forget_problems.mlp, forget_problems.cnn])
def test_no_strategy_takes_more_than_its_share(strategy, build):
    problem = forget_problems.problem(Kind.CLASS, build=build)
    share = 0.85

    found = located(problem, strategy, share)

    total = sum(problem.params[name].numel() for name in trainable_names(problem.build()))
    assert 0 < found.num_weights <= share * total
    assert {*found.masks} <= {*trainable_names(problem.build())}


@pytest.mark.parametrize("strategy", [*Strategy])
def test_half_precision_is_located_in_float32(strategy):
    problem = forget_problems.problem(Kind.SAMPLES)
    build = problem.build
    halved = dataclasses.replace(
        problem,
        build=lambda: build().to(torch.bfloat16),
        params={name: tensor.to(torch.bfloat16) for name, tensor in problem.params.items()},
    )

    found = located(halved, strategy)

    assert found.num_weights > 0


@pytest.mark.parametrize("strategy", [Strategy.DEL, Strategy.SAL_LOC])
def test_a_forget_set_without_a_gradient_is_refused(strategy):
    problem = wide_problem()
    certain = {name: torch.zeros_like(tensor) for name, tensor in problem.params.items()}
    certain["head.bias"] = torch.tensor([1e4, 0.0, 0.0, 0.0], dtype=torch.float64)
    of_class_0 = problem.forget.take((problem.forget.labels == 0).numpy().nonzero()[0])

    with pytest.raises(IneffectiveError, match="gradients of zero"):
        located(dataclasses.replace(problem, params=certain, forget=of_class_0), strategy)


def is_given(logits, label):
    return all(logits[label] > logit for other, logit in enumerate(logits) if other != label)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
