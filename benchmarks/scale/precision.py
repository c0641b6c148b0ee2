"""A Fisher whose products are taken in bfloat16 beside one in float32: its error, its ranks and its time.

The two are taken in turn, of the same weights and images. What matters to a method is each weight's share of
information, so beside the relative error of the whole the rank correlation over all weights is told.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.scale.figures import Figure
from workers.numerics import architectures
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import Params, state_of
from workers.numerics.precision import Precision

NUM_SAMPLES, NUM_PIXELS, SAMPLED_WEIGHTS = 8, 64, 500_000
MODELS = {
    "resnet18": ("torchvision.models:resnet18", {"num_classes": 10}),
    "vit_b_16": ("torchvision.models:vit_b_16", {"num_classes": 10, "image_size": NUM_PIXELS}),
}


def figures(is_small: bool) -> Iterator[Figure]:
    """Yield error, rank correlation and speed of each model."""
    for name in ["resnet18"] if is_small else list(MODELS):
        factory, arguments = MODELS[name]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network = architectures.build(factory, arguments).eval()
        params = state_of(network)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(NUM_SAMPLES, 3, NUM_PIXELS, NUM_PIXELS, generator=generator)
        batch = (images, torch.arange(NUM_SAMPLES) % 10)
        found: dict[Precision, Params] = {}
        ratios = []
        for _ in range(3):
            seconds = {}
            for each in Precision:
                began = time.process_time()
                found[each] = diagonal_fisher(network, params, [batch], precision=each)
                seconds[each] = time.process_time() - began
            ratios.append(seconds[Precision.FLOAT32] / seconds[Precision.BFLOAT16])
        rough, exact = (
            np.concatenate([each.flatten().numpy() for each in found[one].values()])
            for one in (Precision.BFLOAT16, Precision.FLOAT32)
        )
        chosen = np.random.default_rng(0).choice(len(exact), SAMPLED_WEIGHTS)
        error = float(np.linalg.norm(rough - exact) / np.linalg.norm(exact))
        ranks = float(spearmanr(rough[chosen], exact[chosen]).statistic)
        print(
            f"{name}: relative error {error:.4f}, rank correlation {ranks:.5f}, speed {np.median(ratios):.2f}"
        )
        yield Figure(f"{name}_bfloat16_error", [error], "relative")
        yield Figure(f"{name}_bfloat16_ranks", [ranks], "spearman")
        yield Figure(f"{name}_bfloat16_speed_on_cpu", ratios, "ratio")
