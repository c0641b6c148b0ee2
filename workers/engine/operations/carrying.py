"""Makes a candidate that passed its audit a version: measures it, and carries over what it may keep.

What the forgotten touched is left behind. A class is taken out of what is kept by class; samples are part of
their class's Fisher and of the sum, so after a request for samples none is carried. References that learned
from what is forgotten retire, and what was rehearsed was rehearsed on other weights. Nothing is computed from
the training data here: what is missing, or was taken at other weights, is taken anew by refresh and study.
"""

from collections.abc import Iterator

from workers.engine import fisher_files
from workers.engine.fisher_files import Family
from workers.engine.messages import Carry, CarryReply, StoredFile
from workers.engine.operations import preparation_files, reference_files, replaying
from workers.engine.operations.target import At, all_rows
from workers.engine.workbench import CODES, Workbench
from workers.preparation import prepared


def carry(bench: Workbench, call: Carry, at: At) -> CarryReply:
    """Return all files of the new version.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    params = bench.weights(call.weights.sha256)
    num_classes = bench.num_outputs(params)
    forgotten = {*call.forgotten_classes, *(label for group in call.groups for label in group.classes)}
    gone = all_rows(bench.source.manifest, call.groups, call.forgotten_positions)
    known = prepared.known(
        bench.source,
        bench.codes(call.base),
        gone,
        [label for label in range(num_classes) if label not in forgotten],
    )
    named = {label for group in call.groups for label in group.classes}
    names_samples = any(group.kind == "samples" for group in call.groups)
    references = reference_files.keep_without(bench, call.base, gone, () if names_samples else named)
    at("measuring the new version")(0.0)
    return CarryReply(
        files=(
            call.weights,
            preparation_files.keep_config(bench, num_classes, guarantee=call.guarantee),
            *(file for file in call.base if file.name == CODES),
            *(replaying.keep_states(bench, gone) if call.is_retrained else ()),
            *call.left,
            *_fishers(bench, call, forgotten),
            *references.files,
        ),
        facts={
            **preparation_files.facts_of(prepared.baseline(bench.build(), params, known)),
            "study": {"references": references.summary},
        },
    )


def _fishers(bench: Workbench, call: Carry, forgotten: set[int]) -> Iterator[StoredFile]:
    """Yield what is left of the base's Fishers."""
    if call.is_retrained:
        return
    names_samples = any(group.kind == "samples" for group in call.groups)
    for family in (Family.CODE, Family.CLASS):
        kept = fisher_files.find(bench, call.base, family)
        if kept is None or not kept.has_own or (family is Family.CLASS and names_samples):
            continue
        yield from fisher_files.keep_without(bench, kept, forgotten)
