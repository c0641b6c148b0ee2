"""A call with other parameters leaves the model as it was."""

import pytest
import torch
from torch import nn

from workers.numerics import calling
from workers.numerics.architectures import mlp, small_cnn
from workers.numerics.calling import CallError
from workers.numerics.params import num_changed, state_of


def test_a_call_uses_the_given_values_and_not_the_models_own():
    model = mlp(4, 3, 2)
    before = state_of(model)
    zeros = {name: torch.zeros_like(tensor) for name, tensor in before.items()}

    logits = calling.logits(model, zeros, torch.rand(5, 1, 2, 2))

    assert torch.equal(logits, torch.zeros(5, 2))
    assert num_changed(before, state_of(model)) == 0


def test_evaluation_mode_ends_with_the_block_even_on_an_error():
    model = small_cnn(width=2)
    model.features[1].eval()

    with pytest.raises(RuntimeError), calling.evaluating(model):
        assert not model.training
        raise RuntimeError

    assert model.training and not model.features[1].training


def test_images_follow_the_type_of_the_parameters():
    model = mlp(4, 3, 2).double()

    assert calling.logits(model, state_of(model), torch.rand(5, 1, 2, 2)).dtype == torch.float64


@pytest.mark.parametrize("model", [nn.Identity(), nn.Flatten(0)])
def test_an_output_that_is_not_a_row_of_logits_a_sample_is_refused(model):
    with pytest.raises(CallError, match="expected logits of shape"):
        calling.logits(model, {"unused": torch.zeros(1)}, torch.rand(5, 1, 2, 2))
