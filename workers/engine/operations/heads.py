"""The secret state of a head that forgets by proof, among the private files of a version.

It is there or the proof is not: a version made by any other method has none, until it is retrained. After a
training it is found anew from the samples, which also shows that the version is what its recipe makes.
"""

from collections.abc import Callable, Sequence

from workers.engine.messages import StoredFile
from workers.engine.workbench import HEAD, Workbench
from workers.numerics.batches import SampleSet
from workers.numerics.head_state import HeadState
from workers.numerics.params import Params, state_of
from workers.preparation import heads, initial
from workers.preparation.training import TrainingError


def read(bench: Workbench, files: Sequence[StoredFile]) -> HeadState | None:
    """Return the state among a version's files, or None."""
    for file in files:
        if file.name == HEAD:
            return HeadState.from_params(bench.tensors(file.sha256))
    return None


def keep(bench: Workbench, state: HeadState | None) -> list[StoredFile]:
    """Store a state, if there is one."""
    return [] if state is None else [bench.keep(HEAD, state.to_params())]


def found(
    bench: Workbench, params: Params, samples: SampleSet, progress: Callable[[float], None]
) -> HeadState | None:
    """Return the state of a version that was trained on these samples; None if its recipe trains no head.

    None too where the weights that the recipe starts from are not here: what cannot be retrained has nothing
    that a certificate could compare with.

    Raises:
        TrainingError: The version is not what the recipe makes of these samples.
        DatasetRowError: A row cannot be read.
    """
    recipe, start = bench.recipe, bench.initial_weights()
    if recipe.head is None or len(samples) == 0:
        return None
    if recipe.initial is None:
        raise TrainingError(
            "expected a recipe with `head` to name the `initial` weights that it is trained on"
        )
    if start is None:
        return None
    model = bench.build()
    initial.place(model, recipe, start)  # refuses other weights under that name
    return heads.recognise(model, params, bench.placed(state_of(model)), samples, recipe.head, progress)


def found_again(
    bench: Workbench, params: Params, samples: SampleSet, progress: Callable[[float], None]
) -> HeadState | None:
    """Return the state as `found` does, and None where the version is another method's."""
    try:
        return found(bench, params, samples, progress)
    except TrainingError:
        return None
