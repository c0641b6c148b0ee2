"""Adds up, over samples, the elementwise squares of matrix products, in blocks that stay in the cache.

A weight's gradient for one sample is a product L_n R_n, [out, places] @ [places, in]. Formed whole for each
sample, it would be written to memory and read back once a sample, and that traffic, not the arithmetic, would
be the cost. So a large product is formed and squared block by block, each block for all samples before the
next; of small products, as many samples as fill a block go at a time. With one place (L R)^2 = L^2 R^2, and
the sum is a single product of matrices (Goodfellow, "Efficient per-example gradient computations", 2015).
"""

import torch
from torch import Tensor

# Numbers formed at a time. On a CPU a block and its sum must fit in the cache; a GPU wants much at once.
BLOCK_ELEMENTS = {"cpu": 2**19, "cuda": 2**24}

# The library that convolves on CPUs. BLAS is half as fast on processors whose maker is not BLAS's own.
_ONEDNN_LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def block_elements(device: torch.device) -> int:
    """Return how many numbers to form at a time on this device."""
    return BLOCK_ELEMENTS.get(device.type, BLOCK_ELEMENTS["cuda"])


def add_squared_products(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add sum_n (left_n @ right_n)^2 to `total`, in place.

    Args:
        total: [groups, out, in], any strides.
        left: [n, groups, out, places].
        right: [n, groups, places, in].
    """
    if left.shape[-1] == 1:
        # [groups, out, n] @ [groups, n, in]
        total.baddbmm_(left.square().squeeze(-1).movedim(0, -1), right.square().squeeze(-2).movedim(0, -2))
    elif 2 * total[0].numel() > block_elements(total.device):
        for group in range(len(total)):
            _add_by_columns(total[group], left[:, group], right[:, group])
    else:
        _add_by_samples(total, left, right)


def _add_by_columns(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Some columns of the product, for all samples; [out, in], [n, out, places], [n, places, in]."""
    num_out, num_in = total.shape
    num_blocks = -(-num_in // max(1, block_elements(total.device) // num_out))
    width = -(-num_in // num_blocks)
    # Places last on both sides: oneDNN is many times slower on any other layout.
    lefts, by_column = left.contiguous().unbind(), right.mT.contiguous()  # [out, places], [n, in, places]
    for start in range(0, num_in, width):
        columns = slice(start, start + width)
        part = total[:, columns]
        for sample_left, sample_right in zip(lefts, by_column[:, columns].unbind(), strict=True):
            product = _product(sample_left, sample_right)
            part.addcmul_(product, product)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right^T; [out, places], [in, places] -> [out, in]."""
    if _ONEDNN_LINEAR is None or left.device.type != "cpu" or left.dtype != torch.float32:
        return left @ right.mT
    product: Tensor = _ONEDNN_LINEAR(left, right, None, "none", [], "")
    return product


def _add_by_samples(total: Tensor, left: Tensor, right: Tensor) -> None:
    """The whole product, for some samples; shapes as in `add_squared_products`."""
    num_samples, num_groups = left.shape[:2]
    size = min(num_samples, max(1, block_elements(total.device) // total.numel()))
    product = total.new_empty(size * num_groups, *total.shape[1:])
    for start in range(0, num_samples, size):
        rows = slice(start, start + size)
        some_left, some_right = left[rows].flatten(0, 1), right[rows].flatten(0, 1)
        block = product[: len(some_left)]
        torch.bmm(some_left, some_right, out=block)
        total += block.square_().view(-1, *total.shape).sum(0)
