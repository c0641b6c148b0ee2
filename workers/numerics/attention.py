"""Multi-head attention written out in linear maps, so that the weights inside of it can be seen at work.

`functional.multi_head_attention_forward` takes its four weights in one call and lays out their work where no
rule can look. The same values come from

    Q, K, V = X W_in^T + b_in, split into three and each into heads
    H = softmax(Q K^T / sqrt(head size)) V, for each head
    output = H W_out^T + b_out, over all heads side by side

("Attention is all you need", Vaswani et al. 2017, section 3.2), with both maps as calls of their own.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def self_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None] | None:
    """Return what `functional.multi_head_attention_forward` would, or None unless the case is the plain one.

    The plain case is evaluation of one input [tokens, n, features] that attends to all of itself, with the
    three first maps packed into one.

    Returns:
        Outputs [tokens, n, features], and the weights [n, tokens, tokens] or, not averaged over the heads,
        [n, heads, tokens, tokens], if asked for.
    """
    extras = (bias_k, bias_v, key_padding_mask, attn_mask, static_k, static_v)
    is_plain = query is key is value and query.ndim == 3 and in_proj_weight is not None
    if (
        not is_plain
        or in_proj_weight is None
        or add_zero_attn
        or use_separate_proj_weight
        or is_causal
        or (training and dropout_p > 0)
        or any(extra is not None for extra in extras)
    ):
        return None
    projected = functional.linear(query, in_proj_weight, in_proj_bias)  # [tokens, n, 3 features]
    by_head = projected.reshape(*query.shape[:2], 3, num_heads, -1)
    # [3, n, heads, tokens, head size]
    queries, keys, values = by_head.permute(2, 1, 3, 0, 4).unbind()
    scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
    weights = torch.softmax(scores, -1)  # [n, heads, tokens, tokens]
    heads = (weights @ values).permute(2, 0, 1, 3).flatten(2)  # [tokens, n, features]
    output = functional.linear(heads, out_proj_weight, out_proj_bias)
    if not need_weights:
        return output, None
    return output, weights.mean(1) if average_attn_weights else weights
