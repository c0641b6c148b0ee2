"""A Fisher whose products were taken in bfloat16 ranks weights as one in float32 does, and is float32."""

import numpy as np
import pytest
import torch
import torchvision
from scipy.stats import spearmanr

from workers.numerics.architectures import small_cnn
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import num_changed, state_of
from workers.numerics.precision import Precision


def small_vit():
    return torchvision.models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )


def setting(build, channels):
    torch.manual_seed(0)
    model = build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batches = [(torch.randn(4, channels, 8, 8), torch.arange(4) % 3) for _ in range(3)]
    return model, state_of(model), batches


@pytest.mark.parametrize(("build", "channels"), [(lambda: small_cnn(width=4), 1), (small_vit, 3)])
def test_bfloat16_products_give_nearly_the_same_fisher(build, channels):
    model, params, batches = setting(build, channels)

    exact = diagonal_fisher(model, params, batches)
    rough = diagonal_fisher(model, params, batches, precision=Precision.BFLOAT16)

    assert {each.dtype for each in rough.values()} == {torch.float32}
    ours, theirs = (np.concatenate([each.flatten() for each in one.values()]) for one in (rough, exact))
    # Eight bits of mantissa: half a percent a product, and two of them are squared.
    assert np.linalg.norm(ours - theirs) < 0.1 * np.linalg.norm(theirs)
    assert spearmanr(ours, theirs).statistic > 0.98


def test_float32_is_what_is_computed_unless_somebody_asks():
    model, params, batches = setting(lambda: small_cnn(width=4), 1)

    assert (
        num_changed(
            diagonal_fisher(model, params, batches),
            diagonal_fisher(model, params, batches, precision=Precision.FLOAT32),
        )
        == 0
    )
