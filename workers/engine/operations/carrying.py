"""Makes a candidate that passed its audit ready for the next request.

The class Fishers are taken anew, at the new weights and from what is retained: the base's hold what was
forgotten, and the Fisher of a later request's samples, at the new weights, cannot be held against them. This
costs one pass over the retained data before the version is published.

The Fishers of codes hold nothing of any sample. They stay those of the registered weights for as long as the
weights are not trained anew: the one-shot method works best with them.
"""

from workers.engine.messages import Carry, CarryReply, StoredFile
from workers.engine.operations import preparation_files
from workers.engine.operations.target import At, all_rows
from workers.engine.workbench import CLASS_FILE, CODES, Workbench
from workers.preparation import prepared


def carry(bench: Workbench, call: Carry, at: At) -> CarryReply:
    """Return all files of the new version.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    params = bench.weights(call.weights.sha256)
    num_classes = bench.num_outputs(params)
    forgotten = {*call.forgotten_classes, *(label for group in call.groups for label in group.classes)}
    living = [label for label in range(num_classes) if label not in forgotten]
    made = prepared.prepare(
        bench.build,
        params,
        bench.source,
        bench.recipe,
        excluded=all_rows(bench.source.manifest, call.groups, call.forgotten_positions),
        classes=living,
        progress=at("preparing the new version"),
    )
    code_fishers = (
        preparation_files.keep_fishers(bench, "code_fisher", made.code_fishers)
        if call.is_retrained
        else _code_fishers(call.base, living)
    )
    return CarryReply(
        files=(
            call.weights,
            preparation_files.keep_config(bench, num_classes, guarantee=call.guarantee),
            *(file for file in call.base if file.name == CODES),
            *code_fishers,
            *preparation_files.keep_fishers(bench, "class_fisher", made.class_fishers),
            preparation_files.keep_counts(bench, made.class_counts),
        ),
        facts=preparation_files.facts_of(made.baseline),
    )


def _code_fishers(base: tuple[StoredFile, ...], living: list[int]) -> list[StoredFile]:
    """Return the base's code Fishers of the classes that are still known."""
    return [
        file
        for file in base
        if (match := CLASS_FILE.fullmatch(file.name)) is not None
        and match[1] == "code_fisher"
        and int(match[2]) in living
    ]
