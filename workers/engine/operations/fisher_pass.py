"""Takes the Fishers of a version from its data and stores them; a killed pass is gone on with."""

import time
from collections.abc import Callable, Sequence

from workers.engine import fisher_files
from workers.engine.fisher_files import Checkpoint, Family
from workers.engine.messages import StoredFile
from workers.engine.workbench import Workbench
from workers.numerics.batches import SampleSet
from workers.numerics.params import Params
from workers.preparation import fishers

CHECKPOINT_SECONDS = 30.0


def take(
    bench: Workbench,
    family: Family,
    params: Params,
    weights_sha256: str,
    samples: SampleSet,
    classes: Sequence[int],
    progress: Callable[[float], None],
    *,
    only_sum: bool = False,
) -> list[StoredFile]:
    """Return a family's files: the sum, its record, and each class's own if the model is small enough.

    Args:
        bench: The model.
        family: Of training samples, or of codes.
        params: The weights at which they are taken.
        weights_sha256: Their digest.
        samples: What the version knows.
        classes: Which it knows.
        progress: Told the share done.
        only_sum: Whether to keep no class's own in any case.

    Raises:
        FisherError: There are no per-sample gradients of this model on this data.
        DatasetRowError: A row cannot be read.
    """
    checkpoint = Checkpoint(bench.store, bench.spec.space, family, weights_sha256)
    tally, own = checkpoint.read()
    if any(not bench.has(file.sha256) for file in own.values()):
        tally, own = fishers.Tally(), {}
    tally.whole = bench.placed(tally.whole)
    noted_at = time.monotonic()

    def keep(label: int, mean: Params) -> None:
        own[label] = fisher_files.keep_own(bench, family, label, mean)

    def note() -> None:
        nonlocal noted_at
        if time.monotonic() - noted_at >= CHECKPOINT_SECONDS:
            checkpoint.write(tally, own)
            noted_at = time.monotonic()

    is_large = fishers.compact_bytes(params, len(classes)) > bench.fisher_bytes
    fishers.take(
        bench.build(),
        params,
        samples,
        classes,
        tally,
        keep=None if only_sum or is_large else keep,
        after_class=note,
        precision=bench.precision,
        progress=progress,
    )
    files = fisher_files.keep_sum(bench, family, weights_sha256, tally.counts, tally.whole)
    checkpoint.remove()
    return [*own.values(), *files]
