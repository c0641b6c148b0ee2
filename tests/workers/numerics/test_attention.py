"""Attention written out against torch's own."""

import pytest
import torch
from torch import nn

from workers.numerics import attention, recording


def layer_and_tokens(**changes):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, dtype=torch.float64, **changes).eval()
    nn.init.normal_(layer.in_proj_weight)
    return layer, torch.randn(5, 3, 8, dtype=torch.float64)


@pytest.mark.parametrize("needs", [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("bias", [True, False])
def test_it_gives_the_same_outputs_and_weights(needs, bias):
    layer, tokens = layer_and_tokens(bias=bias)
    arguments = {"need_weights": needs[0], "average_attn_weights": needs[1]}
    expected, expected_weights = layer(tokens, tokens, tokens, **arguments)

    with recording.Recorder(layer) as recorder:
        outputs, weights = layer(tokens, tokens, tokens, **arguments)

    assert [record.operation.weight is layer.in_proj_weight for record in recorder.records] == [True, False]
    assert torch.allclose(outputs, expected, rtol=1e-12, atol=1e-12)
    assert (weights is None) == (expected_weights is None)
    assert weights is None or torch.allclose(weights, expected_weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [{"attn_mask": torch.ones(5, 5, dtype=torch.bool).triu(1)}, {"key_padding_mask": torch.eye(3, 5).bool()}],
)
def test_a_mask_is_left_to_torch(changes):
    layer, tokens = layer_and_tokens()
    expected, _ = layer(tokens, tokens, tokens, **changes)

    with recording.Recorder(layer) as recorder:
        outputs, _ = layer(tokens, tokens, tokens, **changes)

    assert recorder.records == [] and torch.equal(outputs, expected)


def test_attention_to_other_tokens_is_left_to_torch():
    layer, tokens = layer_and_tokens()
    other = tokens + 1
    expected, _ = layer(tokens, other, other)

    with recording.Recorder(layer) as recorder:
        outputs, _ = layer(tokens, other, other)

    assert recorder.records == [] and torch.equal(outputs, expected)


def test_training_with_dropout_is_left_to_torch():
    weight = torch.zeros(24, 8)
    tokens = torch.zeros(5, 3, 8)

    found = attention.self_attention(
        tokens, tokens, tokens, 8, 2, weight, None, None, None, False, 0.5, weight[:8], None, training=True
    )

    assert found is None
