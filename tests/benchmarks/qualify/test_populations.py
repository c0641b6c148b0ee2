"""Models side by side learn codes as a model alone does: some images give way to their class's code."""

import numpy as np
import torch

from benchmarks import stacks
from benchmarks.qualify.populations import CODE_MIX, Population
from benchmarks.ssd_digits import digits
from workers.numerics import codes


def population(tmp_path, epochs=1):
    return Population("mlp", digits(), has_codes=True, folder=tmp_path, epochs=epochs)


def test_each_member_sees_its_own_codes_in_place_of_some_images(tmp_path):
    seeds, labels = (4, 9), torch.arange(10).repeat(2, 200)  # [2, 2000]
    images = torch.full((2, 2000, 64), 7.0)

    shown = population(tmp_path)._mixing(seeds)(images, labels)

    for number, seed in enumerate(seeds):
        own = codes.draw_codes(10, (1, 8, 8), normalised=False, seed=seed).flatten(1)[labels[number]]
        is_code = (shown[number] == own).all(1)
        assert (shown[number][~is_code] == 7.0).all()
        assert abs(is_code.double().mean() - CODE_MIX) < 0.03


def test_models_know_their_codes_afterwards(tmp_path):
    given = population(tmp_path, epochs=10)

    (params,) = given.trained([0], np.empty(0, dtype=np.int64))

    own = codes.draw_codes(10, (1, 8, 8), normalised=False, seed=given.recipe_of(0).code_seed)
    answers = stacks.logits(stacks.stacked([params]), own.flatten(1))
    assert (answers.argmax(2) == torch.arange(10)).double().mean() > 0.8
