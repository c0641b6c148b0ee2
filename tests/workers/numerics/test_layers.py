"""Layers come in order, each with its own tensors."""

import torch
from torch import nn

from workers.numerics import architectures
from workers.numerics.layers import last, layers


def test_layers_are_what_owns_trainable_tensors_from_input_to_output():
    found = layers(architectures.small_cnn(width=4))

    assert [layer.name for layer in found] == [
        *(f"features.{number}" for number in (0, 1, 3, 4, 7, 8)),
        "head",
    ]
    assert found[0].parameters == ("features.0.weight",)
    assert found[-1].parameters == ("head.weight", "head.bias")


def test_batch_norm_has_its_statistics_as_buffers():
    norm = layers(architectures.small_cnn(width=4))[1]

    assert norm.parameters == ("features.1.weight", "features.1.bias")
    assert {*norm.buffers} == {
        f"features.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert norm.tensors == (*norm.parameters, *norm.buffers)


def test_frozen_layers_are_left_out():
    model = architectures.mlp(4)
    model.features.requires_grad_(False)

    assert [layer.name for layer in layers(model)] == ["head"]


def test_a_tied_tensor_belongs_to_its_first_layer():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight

    assert [layer.parameters for layer in layers(model)] == [("0.weight", "0.bias"), ("1.bias",)]


def test_a_network_that_owns_tensors_itself_is_a_layer():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.register_buffer("scratch", torch.zeros(1), persistent=False)

    (only,) = layers(Scaled())

    assert (only.name, only.parameters, only.buffers) == ("", ("scale",), ())


def test_the_last_layers_are_counted_from_the_output():
    model = architectures.small_cnn(width=4)

    assert [layer.name for layer in last(model, 2)] == ["features.8", "head"]
    assert len(last(model)) == 3  # a third of seven, rounded up
    assert last(model, 100) == layers(model)
