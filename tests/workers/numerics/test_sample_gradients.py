"""Gradients by sample are those that autograd gives of each sample alone."""

import pytest
import torch
from torch import nn

from workers.numerics import architectures, sample_gradients


def grouped():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def batch():
    draw = torch.Generator().manual_seed(0)
    return torch.rand(5, 1, 4, 4, dtype=torch.float64, generator=draw), torch.tensor([0, 1, 2, 1, 0])


@pytest.mark.parametrize("rows_bytes", [1, 1 << 20])
def test_rows_are_the_gradients_of_single_samples(monkeypatch, rows_bytes):
    monkeypatch.setattr(sample_gradients, "ROWS_BYTES", rows_bytes)
    model, (images, labels) = grouped().double(), batch()
    names = ["4.weight", "0.weight"]
    own = {name: model.get_parameter(name) for name in names}

    found = torch.cat([rows for _, rows in sample_gradients.rows(model, names, images, labels)])

    for row, image, label in zip(found, images, labels, strict=True):
        loss = nn.functional.cross_entropy(model(image[None]), label[None])
        alone = torch.autograd.grad(loss, [*own.values()])
        torch.testing.assert_close(
            row, sample_gradients.flat(dict(zip(names, alone, strict=True)), own), atol=1e-12, rtol=1e-9
        )


def test_flat_and_unflatten_are_inverse_and_a_missing_gradient_is_zero():
    shapes = [("a", (2, 3)), ("b", (4,))]
    tensors = {"a": torch.rand(2, 3), "b": torch.rand(4)}

    flat = sample_gradients.flat({**tensors, "b": None}, tensors)
    back = sample_gradients.unflatten(sample_gradients.flat(tensors, tensors), shapes)

    assert torch.equal(flat[:6], tensors["a"].flatten()) and not flat[6:].any()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_batch_norm_and_dropout_are_named_as_obstacles():
    assert sample_gradients.obstacles(architectures.small_cnn(width=2))
    assert sample_gradients.obstacles(nn.Sequential(nn.Dropout(0.5))) == ("0",)
    assert not sample_gradients.obstacles(nn.Sequential(nn.Dropout(0.0), grouped()))
