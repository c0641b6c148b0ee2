"""Where a training starts: at values drawn from the recipe's seed, or at weights that the recipe names.

A fine-tuned model knows whatever its initial weights knew. To train it anew without some samples gives a
model that never saw them only if the initial weights never did. No digest can show that: it is the statement
of whoever gave the weights. What a digest shows is that both trainings started at the same ones.
"""

from torch import nn

from workers.numerics.params import Params, WeightsError, conform, load_params, sha256_of
from workers.preparation.errors import TrainingError
from workers.preparation.recipe import TrainingRecipe


def digest_of(model: nn.Module, params: Params) -> str:
    """Return the SHA-256, hex, of a full state in its safetensors form.

    It is a digest of the values under the model's own names, not of a file: metadata, the order of the
    tensors and further names of tied ones do not change it. That of a file which `params.write_file` wrote
    from a model's state is the same.

    Args:
        model: gives the names; not changed.
        params: a full state of it, on any device.

    Raises:
        WeightsError: `params` is no state of the model.
    """
    return sha256_of(conform(model, params))


def place(model: nn.Module, recipe: TrainingRecipe, initial: Params | None) -> None:
    """Put the values that a training starts from into a freshly built model, in place.

    Args:
        model: as its factory built it, under the recipe's seed.
        recipe: says whether training starts from given weights, and from which.
        initial: these weights, or None.

    Raises:
        TrainingError: the recipe names other weights, or none, or the weights do not fit the model.
    """
    if initial is None:
        if recipe.initial is not None:
            raise TrainingError(
                f"expected the weights with digest {recipe.initial}, which this recipe starts from, got "
                "none; give them: from other values this recipe makes another model"
            )
        return
    try:
        digest = digest_of(model, initial)
        load_params(model, initial)
    except WeightsError as error:
        raise TrainingError(f"the weights to start from do not fit the model: {error}") from error
    if digest != recipe.initial:
        named = (
            "draws its own" if recipe.initial is None else f"starts from those with digest {recipe.initial}"
        )
        raise TrainingError(
            f"expected the recipe to start from the given weights, it {named}; "
            f'say "initial": "{digest}" in the recipe, or give the weights that it names'
        )
