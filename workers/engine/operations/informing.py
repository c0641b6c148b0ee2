"""What a method is told of each class's information: what the version kept, if that will do, or from data.

Kept Fishers may be those of an earlier version's weights. That does for forgetting a class whose own is kept
too; samples are held against the sum at their own weights, and what was not kept by class must be computed at
the weights that the sum was taken at. Nothing is read or computed until a method asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch

from workers.engine import fisher_files
from workers.engine.fisher_files import Family
from workers.engine.messages import StoredFile
from workers.engine.workbench import Workbench
from workers.numerics import fisher
from workers.numerics.batches import SampleSet
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.preparation import fishers
from workers.preparation.fishers import Tally


@dataclass(frozen=True, eq=False)
class Informant:
    """Answers for one family of a version, at the weights that a method starts from.

    Attributes:
        bench: The model.
        params: Those weights.
        weights_sha256: Their digest; None when they are not stored, as between the steps of a run.
        base: Files of the version.
        progress: Told the share done of a pass over the data.
    """

    bench: Workbench
    params: Params
    weights_sha256: str | None
    base: tuple[StoredFile, ...]
    progress: Callable[[float], None] = field(default=lambda _: None)

    def inform(
        self,
        family: Family,
        samples: SampleSet | None,
        classes: tuple[int, ...],
        *,
        must_be_fresh: bool = False,
    ) -> ClassInformation | None:
        """Return the information of the classes that the version still knows.

        Args:
            family: Of training samples, or of codes.
            samples: All that the version knows of these classes; None if there is no such thing.
            classes: Which it knows.
            must_be_fresh: Whether the Fishers of other weights will not do.
        """
        if samples is None:
            return None
        kept = fisher_files.find(self.bench, self.base, family)
        is_fresh = kept is not None and kept.weights_sha256 == self.weights_sha256
        if must_be_fresh and not is_fresh:
            kept = fisher_files.find(self.bench, self.base, Family.CURRENT)
            is_fresh = kept is not None and kept.weights_sha256 == self.weights_sha256
        if kept is not None and kept.has_own and (is_fresh or not must_be_fresh):
            return kept.information(self.bench)
        own = cache(lambda label: self._own(samples, label))
        if kept is not None and is_fresh:
            whole = kept.whole.sha256
            return ClassInformation(kept.counts, own, lambda: self.bench.tensors(whole))
        return ClassInformation(_counts(samples, classes), own, cache(lambda: self._whole(samples, classes)))

    def _own(self, samples: SampleSet, label: int) -> Params:
        members = samples.take(np.flatnonzero(samples.labels.numpy() == label))
        return fisher.diagonal_fisher(
            self.bench.build(),
            self.params,
            members.batches(fishers.BATCH_SIZE),
            precision=self.bench.precision,
        )

    def _whole(self, samples: SampleSet, classes: tuple[int, ...]) -> Params:
        tally = Tally()
        fishers.take(
            self.bench.build(),
            self.params,
            samples,
            classes,
            tally,
            keep=None,
            precision=self.bench.precision,
            progress=self.progress,
        )
        return tally.whole


def _counts(samples: SampleSet, classes: tuple[int, ...]) -> Mapping[int, int]:
    """Return how many samples each class has; one without any is absent."""
    counts = torch.bincount(samples.labels, minlength=max(classes, default=0) + 1).tolist()
    return {label: counts[label] for label in classes if counts[label]}
