"""Preparation holds what forgetting needs, of what the version knows and of nothing else."""

import numpy as np
import pytest
import torch

from workers.numerics import architectures, fisher, params
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.fisher import FisherError
from workers.numerics.params import WeightsError
from workers.preparation.prepared import prepare
from workers.preparation.recipe import TrainingRecipe

RECIPE = TrainingRecipe(epochs=1, batch_size=4, code_mix=0.2)
LABELS = [0, 0, 0, 1, 1, 2, 0, 1, 0]
SPLITS = ["train"] * 6 + ["holdout"] * 2 + ["test"]


def build():
    return architectures.small_cnn(num_classes=3, width=2)


def toy(seen=None):
    images = torch.rand(len(LABELS), 1, 4, 4, generator=torch.Generator().manual_seed(0))

    def read(positions):
        if seen is not None:
            seen.update(positions.tolist())
        return images[positions]

    return ReaderSource("toy", Manifest.of(LABELS, SPLITS), (1, 4, 4), read)


@pytest.fixture
def state():
    return params.state_of(build())


def test_every_class_has_its_fisher_its_count_and_its_code(state):
    source = toy()

    prepared = prepare(build, state, source, RECIPE)

    assert prepared.class_information.counts == {0: 3, 1: 2, 2: 1}
    assert prepared.code_information.counts == {0: 1, 1: 1, 2: 1}
    assert prepared.codes.shape == (3, 1, 4, 4) and prepared.loose == ()
    assert prepared.class_information.fetch(0).keys() == dict(build().named_parameters()).keys()
    members = SampleSet(source, np.array([0, 1, 2])).batches(3)
    own = fisher.diagonal_fisher(build(), state, members)
    assert torch.equal(prepared.class_information.fetch(0)["head.weight"], own["head.weight"])


def test_the_fisher_of_a_code_is_its_squared_gradient(state):
    prepared = prepare(build, state, toy(), RECIPE)

    own = fisher.diagonal_fisher(build(), state, [(prepared.codes[[2]], torch.tensor([2]))])

    assert torch.equal(prepared.code_information.fetch(2)["head.weight"], own["head.weight"])


def test_a_model_trained_without_codes_has_none(state):
    prepared = prepare(build, state, toy(), TrainingRecipe(epochs=1, batch_size=4))

    assert prepared.codes is None and prepared.code_information is None
    assert prepared.baseline.accuracy_codes is None


def test_the_baseline_is_measured_on_the_holdout(state):
    state["head.weight"].zero_()
    state["head.bias"].copy_(torch.tensor([1.0, 0.0, 0.0]))  # always answers class 0

    baseline = prepare(build, state, toy(), RECIPE).baseline

    assert baseline.accuracy_holdout == 0.5 and baseline.num_holdout == 2
    assert baseline.accuracy_by_class == {0: 1.0, 1: 0.0}
    assert baseline.accuracy_codes == pytest.approx(1 / 3)


def test_the_forgotten_leave_no_trace(state):
    seen = set()

    prepared = prepare(build, state, toy(seen), RECIPE, excluded=np.array([0, 3, 4, 7]), classes=[0, 2])

    assert seen == {1, 2, 5, 6}
    assert prepared.class_information.counts == {0: 2, 2: 1}
    assert set(prepared.code_information.counts) == {0, 2}
    assert set(prepared.baseline.accuracy_by_class) == {0}


def test_preparation_does_not_change_the_parameters(state):
    before = {name: tensor.clone() for name, tensor in state.items()}

    prepare(build, state, toy(), RECIPE)

    assert params.num_changed(before, state) == 0


def test_weights_of_another_architecture_are_refused(state):
    state.pop("head.bias")

    with pytest.raises(WeightsError, match=r"missing head\.bias"):
        prepare(build, state, toy(), RECIPE)


def test_a_head_with_fewer_outputs_than_classes_is_refused():
    def narrow():
        return architectures.small_cnn(num_classes=2, width=2)

    with pytest.raises(FisherError, match="below the model's 2 outputs, got 2"):
        prepare(narrow, params.state_of(narrow()), toy(), RECIPE)


def test_preparation_may_be_cancelled(state):
    def cancel(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(build, state, toy(), RECIPE, progress=cancel)
