"""What a version of a model trained in shards may take over when it forgets exactly.

Each version that is the outcome of its recipe has a private record of its constituents' final states, by the
digests of what they saw. A constituent whose digest would be the same without the forgotten rows never saw
them. A version that another method changed has no such record: of it nothing is taken over. For version 1
the record rests on its owner's word that the recipe is how the weights came about.
"""

from collections.abc import Callable, Sequence

from workers.engine.messages import StoredFile
from workers.engine.operations.target import Positions
from workers.engine.workbench import Workbench
from workers.numerics.params import Params
from workers.preparation import sharded
from workers.preparation.sharded import Finished
from workers.unlearning.base import Progress, Replayed

STATES = "prepared/constituents.json"


def keep_states(bench: Workbench, gone: Positions) -> list[StoredFile]:
    """Store the record of a version that is the outcome of its recipe without some rows, if it has shards."""
    if not bench.recipe.is_sharded:
        return []
    names = sharded.names(
        bench.build_constituent, bench.source, bench.recipe, excluded=gone, device=bench.device
    )
    return [bench.keep_json(STATES, {"states": [own[-1] for own in names]})]


def replay_of(
    bench: Workbench,
    base: Sequence[StoredFile],
    params: Params,
    initial: Params | None,
    progress: Progress,
) -> Callable[[Positions], Replayed]:
    """Return what trains by the recipe without some rows, and takes over what never saw them.

    Args:
        bench: The model; its recipe has shards or slices.
        base: Files of the version to take over from; none of a model that a step has changed.
        params: That version's weights.
        initial: The weights that the recipe starts from, if it names some.
        progress: Told the share of steps that are done or taken over.
    """
    finished = next(
        (Finished(params, bench.read_json(file.sha256)["states"]) for file in base if file.name == STATES),
        None,
    )

    def replay(excluded: Positions) -> Replayed:
        found = sharded.train(
            bench.build_constituent,
            bench.source,
            bench.recipe,
            initial=initial,
            excluded=excluded,
            device=bench.device,
            slices=bench.slices,
            finished=finished,
            progress=progress,
        )
        return Replayed(
            params=bench.placed(found.params),
            num_constituents=bench.recipe.shards,
            num_trained=found.num_trained,
            steps=found.steps,
            steps_done=found.steps - found.steps_found,
        )

    return replay
