"""Recipes: read, written, and refused with the name of the wrong field."""

import pytest

from workers.preparation.recipe import HeadRecipe, RecipeError, Schedule, TrainingRecipe


def test_an_empty_description_gives_the_defaults():
    assert TrainingRecipe.from_json({}) == TrainingRecipe()


def test_what_is_written_is_read_back():
    recipe = TrainingRecipe(epochs=3, learning_rate=0.1, schedule=Schedule.CONSTANT, code_mix=0.25, seed=7)

    assert TrainingRecipe.from_json(recipe.to_json()) == recipe
    assert recipe.to_json()["schedule"] == "constant"


@pytest.mark.parametrize(("shards", "slices", "is_sharded"), [(1, 1, False), (2, 1, True), (1, 2, True)])
def test_shards_or_slices_make_a_sharded_recipe(shards, slices, is_sharded):
    assert TrainingRecipe(shards=shards, slices=slices).is_sharded == is_sharded


def test_an_integer_is_a_number():
    recipe = TrainingRecipe.from_json({"learning_rate": 1})

    assert recipe.learning_rate == 1.0 and isinstance(recipe.learning_rate, float)


def test_what_a_recipe_leaves_open_is_left_out():
    assert TrainingRecipe().to_json().keys() == {
        "epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "schedule", "code_mix",
        "code_seed", "seed", "shards", "slices",
    }  # fmt: skip


def test_a_fine_tuning_is_written_and_read_back():
    recipe = TrainingRecipe(steps=2000, initial="0f" * 32)

    assert TrainingRecipe.from_json(recipe.to_json()) == recipe
    assert TrainingRecipe.from_json({"steps": None, "initial": None}) == TrainingRecipe()


def test_a_head_is_a_record_of_its_own_with_defaults():
    recipe = TrainingRecipe.from_json({"head": {"sigma": 1}, "initial": "0f" * 32})

    assert recipe.head == HeadRecipe(sigma=1.0)
    assert TrainingRecipe.from_json(recipe.to_json()) == recipe


def test_a_head_beside_codes_is_refused():
    with pytest.raises(RecipeError, match="learns no codes"):
        TrainingRecipe(head=HeadRecipe(), code_mix=0.1)


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
        ("seed", None, "seed to be an integer"),
        ("steps", 0, "steps between 1"),
        ("shards", 0, "shards between 1"),
        ("slices", 1001, "slices between 1"),
        ("shards", True, "shards to be an integer"),
        ("head", 1, "head to be an object"),
        ("head", {"lambda": 1}, "head to be an object"),
        ("head", {"l2": "1"}, "head.l2 to be a number"),
        ("head", {"sigma": 0}, "head.sigma between"),
        ("steps", 1.5, "steps to be an integer"),
        ("initial", 7, "initial to be text"),
        ("initial", "", "64 lower-case hexadecimal digits"),
        ("initial", "0F" * 32, "64 lower-case hexadecimal digits"),
    ],
)
def test_a_wrong_field_is_named(field, value, message):
    with pytest.raises(RecipeError, match=message):
        TrainingRecipe.from_json({field: value})
