"""Several networks served as one: the mean of their probabilities, their states in one mapping."""

import pytest
import torch
from torch import nn

from workers.numerics import architectures, calling, ensembles, params
from workers.numerics.architectures import ArchitectureError

CNN = "workers.numerics.architectures:small_cnn"
ARGUMENTS = {"num_classes": 3, "width": 2}


def build():
    return architectures.build(CNN, ARGUMENTS)


def test_the_softmax_of_its_logits_is_the_mean_of_the_constituents_probabilities():
    model = ensembles.combined(build, 3).double().eval()
    images = torch.rand(5, 1, 6, 6, dtype=torch.float64)

    found = torch.softmax(model(images), dim=1)

    expected = sum(torch.softmax(one(images), dim=1) for one in model.constituents) / 3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_constituent_that_is_infinitely_sure_moves_an_answer_by_its_share_at_most():
    class Sure(nn.Module):
        def forward(self, images):
            return torch.tensor([1e4, 0.0, 0.0]).repeat(len(images), 1)

    class Unsure(nn.Module):
        def forward(self, images):
            return torch.zeros(len(images), 3)

    model = ensembles.Ensemble([Sure(), Unsure()])

    found = torch.softmax(model(torch.zeros(1, 1, 2, 2)), dim=1)

    torch.testing.assert_close(found, torch.tensor([[4 / 6, 1 / 6, 1 / 6]]))


def test_a_single_network_is_served_as_itself():
    model = ensembles.combined(build, 1)
    state = params.state_of(model)

    assert not isinstance(model, ensembles.Ensemble)
    assert ensembles.join([state]).keys() == ensembles.constituent(state, 0, 1).keys() == state.keys()
    assert ensembles.description(CNN, ARGUMENTS, 1) == {"factory": CNN, "arguments": ARGUMENTS}


def test_states_are_joined_and_taken_apart_again():
    states = [params.state_of(build()) for _ in range(12)]

    joined = ensembles.join(states)

    model = ensembles.combined(build, 12)
    params.load_params(model, joined)
    for number, state in enumerate(states):
        own = ensembles.constituent(joined, number, 12)
        assert own.keys() == state.keys()
        assert all(own[name] is state[name] for name in state)


def test_the_description_builds_what_is_served():
    described = ensembles.description(CNN, ARGUMENTS, 4)

    model = architectures.build(**described)

    joined = ensembles.join([params.state_of(build()) for _ in range(4)])
    images = torch.rand(2, 1, 6, 6)
    with calling.evaluating(model), torch.no_grad():
        assert calling.logits(model, joined, images).shape == (2, 3)


def test_an_ensemble_of_a_factory_that_is_not_allowed_is_refused():
    described = ensembles.description("torch.nn:Linear", {"in_features": 2, "out_features": 3}, 2)

    with pytest.raises(ArchitectureError, match="ask the operator"):
        architectures.build(**described)
    assert len(architectures.build(**described, allowed={"torch.nn:Linear"}).constituents) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"of": CNN, "arguments": ARGUMENTS},
        {"of": CNN, "arguments": ARGUMENTS, "num": 0},
        {"of": CNN, "arguments": ARGUMENTS, "num": True},
        {"of": CNN, "arguments": {**ARGUMENTS, "weights": "DEFAULT"}, "num": 2},
        {"of": ensembles.FACTORY, "arguments": {}, "num": 2},
    ],
)
def test_an_ensemble_that_cannot_be_built_is_refused(arguments):
    with pytest.raises(ArchitectureError):
        architectures.build(ensembles.FACTORY, arguments)
