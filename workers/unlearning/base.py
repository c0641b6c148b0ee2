"""The words every unlearning method shares: the problem, the result, the protocol.

Vocabulary. The *forget set* is what must go now; for a class request it holds every training sample of the
classes. The *retain set* is the training data minus everything ever forgotten. The *tuning set* was held
out from training and serves to choose a strength; no test data ever comes here. *Earlier* means by a
previous run of the same model.

Rules. Parameters travel as name -> tensor and are never changed in place; a method returns new ones, on the
device and in the dtype it was given. Randomness comes from `seed` alone. What changed the output goes into
`UnlearnResult.parameters`, what only explains it into `diagnostics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.numerics.batches import SampleSet
from workers.numerics.head_state import HeadState
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params
from workers.unlearning.errors import MissingNeedError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Progress: TypeAlias = Callable[[float], None]


class Guarantee(StrEnum):
    """What may be said of a forgotten model, strongest first."""

    EXACT = "exact"
    CERTIFIED = "certified"
    APPROXIMATE = "approximate"
    SUPPRESSED = "suppressed"


class Kind(StrEnum):
    """What a request names: whole classes, or single training samples (a person is a set of samples)."""

    CLASS = "class"
    SAMPLES = "samples"


class Need(StrEnum):
    """What a method must be given beside the weights."""

    CODES = "codes"
    CLASS_FISHERS = "class_fishers"
    FORGET_SET = "forget_set"
    RETAIN_SET = "retain_set"
    TUNING_SET = "tuning_set"
    RECIPE = "recipe"
    SLICES = "slices"
    UPDATE_LOG = "update_log"
    HEAD = "head"


_PROVIDED_BY = {
    Need.CODES: "train it with mnemonic codes (code_mix above 0) and prepare it again",
    Need.CLASS_FISHERS: "prepare it again",
    Need.FORGET_SET: "the request names no sample that it learned from",
    Need.RETAIN_SET: "the request would leave no training sample",
    Need.TUNING_SET: "give the dataset a holdout split, or state the strength in the request",
    Need.RECIPE: "register its recipe, and put the weights it starts from into the workers' `initial` folder",
    Need.SLICES: "train it by a recipe with shards or slices above 1",
    Need.UPDATE_LOG: "train it with a record (lethe train --record), put the log into the workers' `records` "
    "folder, and know that retraining or another method voids it",
    Need.HEAD: "train its last layer alone, by a recipe with `head`, on public weights (`initial`) that the "
    "workers have too; and if another method has changed it since, retrain it",
}


def no_progress(fraction: float) -> None:
    """The listener of those who do not listen."""


def _no_positions() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Replayed:
    """The outcome of a training in shards that took over what never saw the rows it leaves out.

    Attributes:
        params: the weights, the same as those of a training from scratch.
        num_constituents: networks that they hold.
        num_trained: networks that took a step.
        steps: of the optimizer, of a training from scratch.
        steps_done: of those, the ones that were done.
    """

    params: Params
    num_constituents: int
    num_trained: int
    steps: int
    steps_done: int


@dataclass(frozen=True, eq=False)
class Recorded:
    """What an update log holds of some samples.

    Attributes:
        sums: parameter name -> how far their records say that they moved it, float32 on the CPU; zeros where
            nothing was recorded, absent where nothing ever is. The weights less these are those without.
        num_records: that were added up.
        num_earlier: that they had a part in too, and that left the weights with others already.
        num_absent: samples that the recorded training never saw.
    """

    sums: Params
    num_records: int
    num_earlier: int
    num_absent: int


class UpdateLog(Protocol):
    """What a training wrote down of how its batches or samples moved the weights; read only.

    It belongs to the weights that the training ended at, and to those that subtraction made of them.
    """

    @property
    def description(self) -> Mapping[str, Json]:
        """What identifies the log, for the record of a run."""

    def sum_of(self, positions: NDArray[np.int64], granularity: str) -> Recorded:
        """Add up all records that these manifest positions had a part in.

        Args:
            positions: in any order.
            granularity: what the records must be of: `batch` or `sample`.

        Raises:
            MissingNeedError: the log has other records, they were forgotten before, or it cannot be read.
        """


@dataclass(frozen=True, eq=False)
class ForgetProblem:
    """One model, what it must forget, and what preparation left ready for it.

    Attributes:
        build: makes the architecture; its initial weights are newly drawn each time.
        params: the current weights and buffers, on `device`.
        num_classes: outputs of the head.
        kind: what the request names.
        classes: the classes to forget, for a class request; empty otherwise.
        forget: the training samples to forget.
        retain: training samples to keep: everything never forgotten.
        tuning: held-out samples for choosing a strength, those of the classes to forget now among them.
        forgotten_classes: classes forgotten earlier.
        forgotten: manifest positions forgotten earlier, int64.
        codes: [num_classes, C, H, W] mnemonic codes, if the model was trained with them.
        code_information: squared gradients of the codes' losses, at the weights as they were trained; of the
            classes not forgotten earlier.
        class_information: squared per-sample gradients of the training samples by class, of the classes not
            forgotten earlier. For a class request they may be those of an earlier version's weights; for a
            samples request they are those of `params`.
        retrain: trains by the recipe, from its beginning, without the given manifest positions; None if it
            starts from weights that are not here.
        replay: as `retrain`, but only what learned from these positions; None if the recipe has no shards.
        recipe: how the model was trained, as JSON.
        update_log: what the training recorded; None if it recorded nothing, or `params` do not descend from
            its outcome by subtraction alone.
        head: the secret state of a head that was trained to its minimum on frozen public features and has
            been changed since by proof alone; None of any other model.
        key: of noise that must stay secret; empty where no noise can be.
        seed: where all other randomness of this run starts.
        device: where the tensors live and the model runs.
        progress: told the fraction done, in [0, 1].
    """

    build: Callable[[], nn.Module]
    params: Params
    num_classes: int
    kind: Kind
    forget: SampleSet
    retain: SampleSet
    tuning: SampleSet
    classes: tuple[int, ...] = ()
    forgotten_classes: tuple[int, ...] = ()
    forgotten: NDArray[np.int64] = field(default_factory=_no_positions)
    codes: Tensor | None = None
    code_information: ClassInformation | None = None
    class_information: ClassInformation | None = None
    retrain: Callable[[NDArray[np.int64]], Params] | None = None
    replay: Callable[[NDArray[np.int64]], Replayed] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    update_log: UpdateLog | None = None
    head: HeadState | None = None
    key: bytes = field(default=b"", repr=False)
    seed: int = 0
    device: torch.device | str = "cpu"
    progress: Progress = no_progress

    @property
    def remaining_classes(self) -> tuple[int, ...]:
        """Classes that the forgotten model must still know."""
        gone = {*self.classes, *self.forgotten_classes}
        return tuple(c for c in range(self.num_classes) if c not in gone)

    def require(self, *needs: Need) -> None:
        """Check that what a method is about to use was given.

        Raises:
            MissingNeedError: naming the first thing that is absent and what provides it.
        """
        for need in needs:
            if not self._has(need):
                raise MissingNeedError(
                    f"this method needs {need.value}, and the model has none: {_PROVIDED_BY[need]}"
                )

    def _has(self, need: Need) -> bool:
        alive = {*range(self.num_classes)} - {*self.forgotten_classes}
        by_code = self.code_information.counts.keys() if self.code_information else set()
        return {
            Need.CODES: self.codes is not None and alive <= by_code,
            Need.CLASS_FISHERS: self.class_information is not None,
            Need.FORGET_SET: len(self.forget) > 0,
            Need.RETAIN_SET: len(self.retain) > 0,
            Need.TUNING_SET: len(self.tuning) > 0,
            Need.RECIPE: self.retrain is not None,
            Need.SLICES: self.replay is not None,
            Need.UPDATE_LOG: self.update_log is not None,
            Need.HEAD: self.head is not None and bool(self.key),
        }[need]


@dataclass(frozen=True, eq=False)
class UnlearnResult:
    """The forgotten model and the record of how it came about.

    Attributes:
        params: new weights and buffers, same names, shapes and dtypes as the problem's.
        parameters: every value that changed the output, those of the request and those found by a search.
        diagnostics: what explains the outcome to a reader and changed nothing.
        head: the state that the next removal by proof starts from; None if the proof ends here.
    """

    params: Params
    parameters: Mapping[str, Json]
    diagnostics: Mapping[str, float | int | str] = field(default_factory=dict)
    head: HeadState | None = None


class Method(Protocol):
    """One unlearning method: a file in `methods/` exposes one instance of this as METHOD."""

    @property
    def name(self) -> str:
        """Unique, lower case, the word used in requests and certificates."""

    @property
    def version(self) -> str:
        """Changes whenever the same inputs would give other weights."""

    @property
    def guarantee(self) -> Guarantee:
        """What the method claims; the audit may only lower it."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The requests it can serve."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it must be given beside the weights."""

    @property
    def summary(self) -> str:
        """One sentence for the catalogue."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a user must know before choosing it."""

    @property
    def experimental(self) -> str | None:
        """Why it runs only where a request or a policy names it; None for a method fit for every model."""

    @property
    def Parameters(self) -> type[Any]:
        """A frozen dataclass with a default for every field; its JSON form is what a request may carry."""

    def forget(self, problem: ForgetProblem, parameters: Any) -> UnlearnResult:
        """Return a model that has forgotten.

        Args:
            problem: read only.
            parameters: an instance of `self.Parameters`.

        Raises:
            UnlearningError: nothing can be returned; the error says whether trying again can help.
        """
