"""Takes a version's Fishers anew, off the path of any request.

After a publication the new version lives with what its base left it. That is enough for the next class
request; a request that needs more makes up for it by a pass over the data. This pass is made here, before one
comes.

Fishers by class stay those of the weights as they were trained, for as long as they hold nothing that was
forgotten: forgetting further classes works better with them than with new ones, by codes as by dampening
(docs/results.md). Samples are held against the sum at the present weights, so that is taken beside them.

References stay, but for those that learned from what is forgotten.

A head that was retrained gets its secret state back here; one that forgot by proof brought its own.
"""

from workers.engine import fisher_files
from workers.engine.fisher_files import Family
from workers.engine.messages import Refresh, RefreshReply
from workers.engine.operations import fisher_pass, heads, reference_files
from workers.engine.operations.replaying import STATES
from workers.engine.operations.target import At, positions_array
from workers.engine.workbench import CODES, HEAD, WEIGHTS, Workbench
from workers.preparation import prepared


def refresh(bench: Workbench, call: Refresh, at: At) -> RefreshReply:
    """Return the private files that the version should have.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    weights = next(file for file in call.base if file.name == WEIGHTS)
    params = bench.weights(weights.sha256)
    living = [label for label in range(bench.num_outputs(params)) if label not in call.forgotten_classes]
    gone = positions_array(call.forgotten_positions)
    known = prepared.known(bench.source, bench.codes(call.base), gone, living)
    files = [file for file in call.base if file.name in (CODES, STATES, HEAD)]
    if not any(file.name == HEAD for file in files):
        files += heads.keep(bench, heads.found_again(bench, params, known.learned, at("refreshing the head")))
    for family, samples in ((Family.CODE, known.code_set), (Family.CLASS, known.learned)):
        kept = fisher_files.find(bench, call.base, family)
        is_fresh = kept is not None and kept.weights_sha256 == weights.sha256
        if samples is None:
            continue
        if kept is not None and (is_fresh or kept.has_own):
            files += fisher_files.files_of(call.base, family)
            if is_fresh or family is Family.CODE:
                continue
            family = Family.CURRENT
        files += fisher_pass.take(
            bench,
            family,
            params,
            weights.sha256,
            samples,
            living,
            at(f"refreshing {family}"),
            only_sum=family is Family.CURRENT,
        )
    references = reference_files.keep_without(bench, call.base, gone, call.forgotten_classes)
    return RefreshReply(files=(*files, *references.files))
