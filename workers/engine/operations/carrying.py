"""Makes a candidate that passed its audit ready for the next request.

What the forgotten did not touch is carried over; what it did is dropped, or made anew from what is retained.
The Fishers of codes are those of the registered weights for as long as the weights are not trained anew: the
one-shot method works best with them (they hold nothing of any sample).
"""

import numpy as np

from workers.engine.messages import Carry, CarryReply, StoredFile
from workers.engine.operations import preparation_files
from workers.engine.operations.target import At, Positions, all_rows
from workers.engine.workbench import CLASS_FILE, CODES, Workbench
from workers.preparation import prepared


def carry(bench: Workbench, call: Carry, at: At) -> CarryReply:
    """Return all files of the new version.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    params = bench.weights(call.weights.sha256)
    num_classes = bench.num_outputs(params)
    gone = all_rows(bench.source.manifest, call.groups, call.forgotten_positions)
    forgotten = {*call.forgotten_classes, *(label for group in call.groups for label in group.classes)}
    living = [label for label in range(num_classes) if label not in forgotten]
    renewed = living if call.is_retrained else [label for label in living if label in _touched(bench, call)]
    made = prepared.prepare(
        bench.build,
        params,
        bench.source,
        bench.recipe,
        excluded=gone,
        classes=living,
        renewed=renewed,
        progress=at("preparing the new version"),
    )
    code_fishers = made.code_fishers if call.is_retrained else {}
    counts = {label: count for label, count in bench.class_counts(call.base).items() if label in living}
    return CarryReply(
        files=(
            call.weights,
            preparation_files.keep_config(bench, num_classes, guarantee=call.guarantee),
            *_untouched(call.base, living, renewed, is_retrained=call.is_retrained),
            *preparation_files.keep_fishers(bench, "code_fisher", code_fishers),
            *preparation_files.keep_fishers(bench, "class_fisher", made.class_fishers),
            preparation_files.keep_counts(bench, counts | made.class_counts),
        ),
        facts=preparation_files.facts_of(made.baseline),
    )


def _touched(bench: Workbench, call: Carry) -> set[int]:
    """Return the labels of every row the groups name."""
    manifest = bench.source.manifest
    rows: Positions = all_rows(manifest, call.groups, ())
    return {int(label) for label in np.unique(manifest.labels[rows])}


def _untouched(
    base: tuple[StoredFile, ...], living: list[int], renewed: list[int], *, is_retrained: bool
) -> list[StoredFile]:
    """Return the base's preparation that the new version may keep as it is."""
    kept = [file for file in base if file.name == CODES]
    if is_retrained:
        return kept
    for file in base:
        match = CLASS_FILE.fullmatch(file.name)
        if match is None or int(match[2]) not in living:
            continue
        if match[1] == "code_fisher" or int(match[2]) not in renewed:
            kept.append(file)
    return kept
