"""A descent follows its schedule, and its estimate of the steps to come."""

import numpy as np
import pytest

from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Normalisation
from workers.numerics.datasets.digits import open_digits
from workers.preparation.descent import code_book, learning_rate, num_steps
from workers.preparation.recipe import Schedule, TrainingRecipe

NORMALISATION = Normalisation((0.3,), (0.4,))


def digits(count):
    return SampleSet(open_digits(), np.arange(count))


def test_the_learning_rate_falls_to_nothing_along_a_cosine():
    cosine = TrainingRecipe(learning_rate=0.2)
    constant = TrainingRecipe(learning_rate=0.2, schedule=Schedule.CONSTANT)

    assert [learning_rate(cosine, done) for done in (0, 0.5, 1)] == pytest.approx([0.2, 0.1, 0.0])
    assert learning_rate(constant, 0.9) == 0.2


@pytest.mark.parametrize(
    ("recipe", "count", "expected"),
    [
        (TrainingRecipe(epochs=3, batch_size=10), 25, 9),
        (TrainingRecipe(epochs=3, batch_size=10), 21, 6),
        (TrainingRecipe(epochs=3, batch_size=10, steps=4), 25, 4),
        (TrainingRecipe(epochs=3, batch_size=10, steps=40), 25, 40),
        (TrainingRecipe(epochs=3, batch_size=10), 0, 0),
        (TrainingRecipe(epochs=3, batch_size=10, steps=4), 0, 0),
    ],
)
def test_steps_are_counted_by_epoch_or_as_bounded(recipe, count, expected):
    assert num_steps(digits(count), recipe) == expected


def test_codes_lie_in_the_scale_of_the_images():
    recipe = TrainingRecipe(code_mix=0.1)
    labels = digits(300).labels

    raw = code_book(open_digits(), recipe).of(labels)
    standardised = code_book(open_digits(normalisation=NORMALISATION), recipe).of(labels)

    assert raw.min() >= 0 and raw.max() < 1
    assert standardised.min() < -1.5 and standardised.max() > 1.5


def test_a_recipe_that_mixes_no_codes_has_none():
    assert code_book(open_digits(), TrainingRecipe()) is None
