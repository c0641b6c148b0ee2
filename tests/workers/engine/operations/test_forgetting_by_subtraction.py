"""The digits are trained with a record, forgotten by subtraction, and forgotten for good."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.fixtures.benches import bench, quiet
from workers.engine.messages import Step, Unlearn, UpdateLogRef
from workers.engine.operations.forgetting import unlearn
from workers.engine.workbench import WEIGHTS
from workers.numerics import metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.digits import open_digits
from workers.numerics.params import to_bytes
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train
from workers.preparation.update_log import record_erasure
from workers.preparation.update_log.recorder import Recorder
from workers.preparation.update_log.recording import Granularity, Recording
from workers.unlearning import registry
from workers.unlearning.errors import MissingNeedError

RECIPE = TrainingRecipe(epochs=3, learning_rate=0.05)
METHODS = registry.discover()
NAMES = {Granularity.SAMPLE: "amnesiac_samples", Granularity.BATCH: "amnesiac"}


@pytest.fixture(scope="module", params=[*Granularity])
def digits(request, tmp_path_factory):
    """A bench with the digits, the weights that were trained, and what their log is a record of."""
    folder = tmp_path_factory.mktemp(request.param)
    empty = bench(folder, recipe=RECIPE)
    arguments = {"in_features": 64, "hidden": 32}
    spec = empty.spec.model_copy(
        update={"factory": "workers.numerics.architectures:mlp", "arguments": arguments}
    )
    table = replace(empty, spec=spec, source=open_digits())
    recording = Recording(request.param)
    trained = train(table.build, table.source, RECIPE, recorder=Recorder(folder / "log", recording))
    digest = hashlib.sha256(to_bytes(trained.params)).hexdigest()
    table.records_dir.mkdir()
    (folder / "log").rename(table.records_dir / digest)
    return table, trained.params, NAMES[request.param]


def ask(table, params, *steps, subtracted=(), is_fitting=True):
    """Run steps on weights whose log says what was subtracted from them before."""
    root = next(iter(table.records_dir.iterdir())).name
    call = Unlearn(
        model=table.spec,
        base=(table.keep(WEIGHTS, params),),
        steps=steps,
        forgotten_classes=(),
        forgotten_positions=subtracted,
        update_log=UpdateLogRef(weights=root, subtracted=subtracted) if is_fitting else None,
        seed=0,
    )
    reply = unlearn(table, call, METHODS, quiet)
    return table.weights(reply.weights.sha256), reply.steps


def samples(method, positions, **parameters):
    """A step for samples."""
    return Step(kind="samples", positions=tuple(positions), method=method, parameters=parameters)


def positions(table, count, skip=0):
    return table.source.manifest.positions("train")[skip : skip + count].tolist()


def accuracy(table, params, label):
    """Accuracy on the training samples of a class, and on all others."""
    train_rows = table.source.manifest.positions("train")
    is_own = table.source.manifest.labels[train_rows] == label
    return [
        metrics.accuracy(*metrics.logits_of(table.build(), params, SampleSet(table.source, rows)))
        for rows in (train_rows[is_own], train_rows[~is_own])
    ]


def test_a_class_is_forgotten_and_a_repair_brings_others_back_and_not_the_class(digits):
    table, params, method = digits

    def outcome(**parameters):
        step = Step(kind="class", classes=(3,), method=method, parameters=parameters)
        forgotten, reports = ask(table, params, step)
        return accuracy(table, forgotten, 3), reports[0]

    (bare, _), (repaired, report) = outcome(repair_budget=0.0), outcome(repair_budget=0.3, repair_rate=0.05)

    assert accuracy(table, params, 3)[0] > 0.7
    assert bare[0] < 0.1 and repaired[0] < 0.1
    assert repaired[1] > bare[1]
    assert report.parameters["update_log"]["weights"] == next(table.records_dir.iterdir()).name
    assert report.caveats[0].startswith("Experimental:")


def test_samples_in_one_run_and_in_two_come_to_the_same_weights(digits):
    table, params, method = digits
    first, second = positions(table, 3), positions(table, 3, skip=3)

    at_once, _ = ask(table, params, samples(method, [*first, *second], repair_budget=0.0))
    once, _ = ask(table, params, samples(method, first, repair_budget=0.0))
    later, _ = ask(table, once, samples(method, second, repair_budget=0.0), subtracted=tuple(first))
    in_steps, _ = ask(
        table,
        params,
        samples(method, first, repair_budget=0.0),
        samples(method, second, repair_budget=0.0),
    )

    for name, expected in at_once.items():
        torch.testing.assert_close(later[name], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(in_steps[name], expected, atol=1e-5, rtol=1e-4)


def test_after_another_method_the_log_is_not_given(digits):
    table, params, method = digits
    train_rows = np.asarray(positions(table, 40))
    other = Step(kind="samples", positions=tuple(train_rows[:2].tolist()), method="retrain")

    with pytest.raises(MissingNeedError, match="needs update_log"):
        ask(table, params, other, samples(method, train_rows[2:4].tolist()))
    with pytest.raises(MissingNeedError, match="needs update_log"):
        ask(table, params, samples(method, train_rows[:2].tolist()), is_fitting=False)


def test_whose_key_was_destroyed_cannot_be_forgotten_again(digits):
    table, params, method = digits
    gone = positions(table, 2, skip=50)
    before, _ = ask(table, params, samples(method, gone))
    record_erasure.destroy_keys(next(table.records_dir.iterdir()), gone)

    with pytest.raises(MissingNeedError, match="keys of 2 were destroyed"):
        ask(table, params, samples(method, gone))
    assert not all(torch.equal(before[name], params[name]) for name in params)
