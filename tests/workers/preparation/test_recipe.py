"""Recipes: read, written, and refused with the name of the wrong field."""

import pytest

from workers.preparation.recipe import RecipeError, Schedule, TrainingRecipe


def test_an_empty_description_gives_the_defaults():
    assert TrainingRecipe.from_json({}) == TrainingRecipe()


def test_what_is_written_is_read_back():
    recipe = TrainingRecipe(epochs=3, learning_rate=0.1, schedule=Schedule.CONSTANT, code_mix=0.25, seed=7)

    assert TrainingRecipe.from_json(recipe.to_json()) == recipe
    assert recipe.to_json()["schedule"] == "constant"


def test_an_integer_is_a_number():
    recipe = TrainingRecipe.from_json({"learning_rate": 1})

    assert recipe.learning_rate == 1.0 and isinstance(recipe.learning_rate, float)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epoch", 3, "got 'epoch'"),
        ("epochs", 2.5, "epochs to be an integer"),
        ("epochs", True, "epochs to be an integer"),
        ("epochs", 0, "epochs between 1"),
        ("batch_size", -1, "batch_size between 1"),
        ("learning_rate", "0.1", "learning_rate to be a number"),
        ("learning_rate", float("nan"), "learning_rate between"),
        ("momentum", 1.5, "momentum between"),
        ("weight_decay", None, "weight_decay to be a number"),
        ("schedule", "linear", "schedule to be one of cosine, constant"),
        ("schedule", ["cosine"], "schedule to be one of cosine, constant"),
        ("code_mix", 1.1, "code_mix between"),
        ("seed", "0", "seed to be an integer"),
    ],
)
def test_a_wrong_field_is_named(field, value, message):
    with pytest.raises(RecipeError, match=message):
        TrainingRecipe.from_json({field: value})
