"""A model that was fine-tuned is retrained from the very weights it started from, or not at all."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.benches import RECIPE, bench, quiet, weights
from workers.engine.messages import Step, Unlearn
from workers.engine.operations.forgetting import unlearn
from workers.engine.workbench import WEIGHTS
from workers.numerics.params import write_file
from workers.preparation import initial, training
from workers.unlearning import registry
from workers.unlearning.errors import MissingNeedError


@pytest.fixture
def fine_tuned(tmp_path):
    """A bench whose recipe names the weights that it starts from."""
    digest = initial.digest_of(bench(tmp_path).build(), weights(seed=3))
    return bench(tmp_path, recipe=replace(RECIPE, initial=digest))


def retrain(table):
    call = Unlearn(
        model=table.spec,
        base=(table.keep(WEIGHTS, weights()),),
        steps=(Step(kind="samples", positions=(0,), method="retrain"),),
        forgotten_classes=(),
        forgotten_positions=(),
        seed=0,
    )
    reply = unlearn(table, call, registry.discover(), quiet)
    return table.weights(reply.weights.sha256)


def test_it_starts_from_the_operators_file(fine_tuned):
    fine_tuned.initial_dir.mkdir()
    write_file(fine_tuned.initial_dir / f"{fine_tuned.recipe.initial}.safetensors", weights(seed=3))

    found = retrain(fine_tuned)

    expected = training.train(
        fine_tuned.build,
        fine_tuned.source,
        fine_tuned.recipe,
        initial=weights(seed=3),
        excluded=torch.tensor([0]).numpy(),
    ).params
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_it_is_refused_without_them_and_never_starts_from_random_ones(fine_tuned):
    with pytest.raises(MissingNeedError, match="recipe"):
        retrain(fine_tuned)


def test_other_weights_under_that_name_are_refused(fine_tuned):
    fine_tuned.initial_dir.mkdir()
    write_file(fine_tuned.initial_dir / f"{fine_tuned.recipe.initial}.safetensors", weights(seed=4))

    with pytest.raises(training.TrainingError, match="starts from those with digest"):
        retrain(fine_tuned)
