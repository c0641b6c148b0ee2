"""What an audit must not be taken in by: ways that leave a model as it was, or look like forgetting.

None of them reads the test split. *Noise* moves the logits by about a hundredth and nothing else. *Head
reset* draws the last layer anew and trains all on what is kept. *DEL-like* resets the hidden units that
matter most to the forget set and trains them and the head alone ("DEL", Torkzadehmahani et al., TMLR 2025:
the score |weight times gradient|, the mean over the largest tenth of each channel, 30 % of the channels).
"""

import dataclasses
from collections.abc import Sequence

import torch

from benchmarks import stacks
from benchmarks.memorised_sets import Rows, Setup
from benchmarks.memorised_ways import RECIPE, WAYS, Way
from workers.numerics import seeding
from workers.numerics.params import Params

NOISE = 0.01  # of a tensor's own deviation
RESET_SHARE, TOP_SHARE = 0.3, 0.1
TUNED = dataclasses.replace(RECIPE, epochs=20, learning_rate=0.05)
TUNED_BY_DEL = dataclasses.replace(RECIPE, epochs=20, learning_rate=0.015, weight_decay=0.0)


def _noisy(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    random = seeding.generator(setup.draw, "noise")
    return {
        name: tensor + NOISE * tensor.std() * torch.randn(tensor.shape, generator=random)
        for name, tensor in originals.items()
    }


def _head_reset(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    own = [seeding.derive(seed, "way") for seed in seeds]
    fresh = stacks.drawn(own)
    begun = {**originals, "3.weight": fresh["3.weight"], "3.bias": fresh["3.bias"]}
    return stacks.train(setup.train.without(rows), TUNED, own, begun)


def _del_like(setup: Setup, originals: Params, seeds: Sequence[int], rows: Rows, never: Rows) -> Params:
    own = [seeding.derive(seed, "way") for seed in seeds]
    gone, num_models = setup.train.only(rows), len(seeds)
    slopes = stacks.gradients(
        originals, gone.images.expand(num_models, -1, -1), gone.labels.expand(num_models, -1)
    )
    score = (originals["1.weight"] * slopes["1.weight"]).abs()  # [models, hidden, inputs]
    score = score.topk(round(TOP_SHARE * stacks.NUM_INPUTS), dim=2).values.mean(2)
    chosen = score.topk(round(RESET_SHARE * stacks.NUM_HIDDEN), dim=1).indices
    is_reset = torch.zeros_like(score).scatter(1, chosen, 1.0)  # [models, hidden]
    fresh = stacks.drawn(own)
    masks = {"1.weight": is_reset[:, :, None], "1.bias": is_reset}
    begun = {
        name: torch.where(masks[name] > 0, fresh[name], tensor) if name in masks else tensor
        for name, tensor in originals.items()
    }

    def masked(weights: Params, gradients: Params) -> Params:
        return {name: g * masks[name] if name in masks else g for name, g in gradients.items()}

    return stacks.train(setup.train.without(rows), TUNED_BY_DEL, own, begun, shape=masked)


MUST_FAIL = (Way("no-op with noise", _noisy), Way("head reset", _head_reset), Way("DEL-like", _del_like))
ASCENT = next(way for way in WAYS if way.name.startswith("NegGrad+"))
