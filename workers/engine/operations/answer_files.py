"""What a version answers about its data, in the store: a forward pass that its audits need not make.

The file belongs to one version's weights. It is not carried to the next version, and goes with its own.
"""

from collections.abc import Callable, Sequence

import numpy as np

from workers.audit.kept_answers import KeptAnswers
from workers.engine.messages import StoredFile
from workers.engine.operations.target import Positions
from workers.engine.workbench import ANSWERS, WEIGHTS, Workbench
from workers.numerics import metrics
from workers.numerics.batches import SampleSet

MOST_BYTES = 256 << 20
"""Above this the answers are not kept, and each audit asks the base model."""


def keep(
    bench: Workbench, files: Sequence[StoredFile], gone: Positions, progress: Callable[[float], None]
) -> list[StoredFile]:
    """Return the file of a version's answers, made if it is not there; none where it would be too large.

    Args:
        bench: The model.
        files: Of the version.
        gone: Rows that are forgotten, training or held out; nothing is read of them.
        progress: Told the share done.

    Raises:
        DatasetRowError: A row cannot be read.
    """
    there = [file for file in files if file.name == ANSWERS]
    if there:
        return there
    positions = np.sort(
        np.concatenate([bench.samples(split, gone).positions for split in ("train", "holdout")])
    )
    params = bench.weights(next(file.sha256 for file in files if file.name == WEIGHTS))
    if not len(positions) or len(positions) * bench.num_outputs(params) * 4 > MOST_BYTES:
        return []
    progress(0.0)
    logits, _ = metrics.logits_of(bench.build(), params, SampleSet(bench.source, positions))
    return [bench.keep(ANSWERS, KeptAnswers(positions, logits.float().cpu().numpy()).to_tensors())]
