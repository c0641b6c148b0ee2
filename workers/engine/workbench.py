"""One model as the engine holds it: architecture, data, and the files of a version as tensors."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.core import errors
from service.core.storage.filesystem import FilesystemStore
from workers.audit.kept_answers import KeptAnswers
from workers.audit.reference.bank import ReferenceBank
from workers.audit.resurrection.references import ClassReferences
from workers.engine.messages import ModelSpec, StoredFile, UpdateLogRef
from workers.engine.shelf import Shelf
from workers.numerics import architectures, calling, ensembles
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, conform, pieces, read_file
from workers.numerics.precision import Precision
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.rehearsal.record import Rehearsal
from workers.preparation.slices import Slices
from workers.preparation.update_log.reading import FileLog, open_log

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CODES = "prepared/codes.safetensors"
HEAD = "prepared/head.safetensors"
BANK = "prepared/bank.safetensors"
CLASS_REFERENCES = "prepared/class_references.json"
REHEARSAL = "prepared/rehearsal.json"
ANSWERS = "prepared/answers.safetensors"


@dataclass(frozen=True)
class Workbench:
    """A model on the bench.

    Attributes:
        spec: What the worker said of it.
        source: Its data.
        recipe: How it is trained.
        allowed: Factories beside the built-in ones.
        store: Where its files lie.
        shelf: What was loaded before.
        device: Where tensors are put when they are loaded.
        initial_dir: Folder of the weights that recipes start from.
        slices_dir: Folder of the states that trainings in shards left after each slice.
        records_dir: Folder of the update logs of trainings.
        fisher_bytes: Bound on the Fishers kept class by class; above it only their sum is kept.
        precision: Of the passes that take Fishers.
        noise_key: Of the noise that heads with a proof are published with.
    """

    spec: ModelSpec
    source: DatasetSource
    recipe: TrainingRecipe
    allowed: frozenset[str]
    store: FilesystemStore
    shelf: Shelf
    device: torch.device
    initial_dir: Path
    slices_dir: Path
    records_dir: Path
    fisher_bytes: int
    precision: Precision = Precision.FLOAT32
    noise_key: bytes = field(default=b"", repr=False)

    def build(self) -> nn.Module:
        """Return a new, untrained instance of what is served: an ensemble, if the recipe has shards."""
        return ensembles.combined(self.build_constituent, self.recipe.shards)

    def outline(self) -> nn.Module:
        """Return what is served without values, for its names, shapes and types: it takes no memory.

        An architecture whose construction computes with values is built for good.
        """
        try:
            with torch.device("meta"):
                return self.build()
        except RuntimeError:
            return self.build()

    def build_constituent(self) -> nn.Module:
        """Return a new, untrained instance of the registered architecture: what the recipe trains."""
        return architectures.build(self.spec.factory, self.spec.arguments, self.allowed)

    @property
    def slices(self) -> Slices:
        """Where a training in shards keeps its states."""
        return Slices(self.slices_dir)

    def weights(self, sha256: str) -> Params:
        """Return stored weights, checked against the architecture.

        Raises:
            WeightsError: They are not safetensors, not of this architecture, or not finite.
        """
        return self._shelved(sha256, lambda read: conform(self.outline(), read))

    def initial_weights(self) -> Params | None:
        """Return the weights that the recipe starts from; None if it names none, or they are not here.

        They are the operator's, not the store's: a version of a model has seen the data, and never serves.

        Raises:
            WeightsError: The file is no safetensors.
        """
        if self.recipe.initial is None:
            return None
        try:
            return read_file(self.initial_dir / f"{self.recipe.initial}.safetensors")
        except FileNotFoundError:
            return None

    def update_log(self, reference: UpdateLogRef | None) -> FileLog | None:
        """Return an update log; None if there is none, or the folder holds none that can be used."""
        if reference is None:
            return None
        subtracted = np.asarray(reference.subtracted, dtype=np.int64)
        return open_log(self.records_dir / reference.weights, reference.weights, subtracted)

    def tensors(self, sha256: str) -> Params:
        """Return a stored file of tensors as it is."""
        return self._shelved(sha256, lambda read: read)

    def codes(self, files: Sequence[StoredFile]) -> Tensor | None:
        """Return the codes [num_classes, C, H, W] among a version's files, or None."""
        for file in files:
            if file.name == CODES:
                return self.tensors(file.sha256)["codes"]
        return None

    def bank(self, files: Sequence[StoredFile]) -> ReferenceBank | None:
        """Return the reference bank among a version's files, or None."""
        for file in files:
            if file.name == BANK:
                return ReferenceBank.of_tensors(self._read_tensors(file.sha256))
        return None

    def answers(self, files: Sequence[StoredFile]) -> KeptAnswers | None:
        """Return what a version answered about its data, among its files, or None."""
        for file in files:
            if file.name == ANSWERS:
                return KeptAnswers.of_tensors(self.tensors(file.sha256))
        return None

    def class_references(self, files: Sequence[StoredFile]) -> ClassReferences | None:
        """Return what models that never saw a class showed, among a version's files, or None."""
        for file in files:
            if file.name == CLASS_REFERENCES:
                return ClassReferences.of_json(self.read_json(file.sha256)["references"])
        return None

    def rehearsal(self, files: Sequence[StoredFile]) -> Rehearsal | None:
        """Return what was rehearsed of a version, or None."""
        for file in files:
            if file.name == REHEARSAL:
                return Rehearsal.of_json(self.read_json(file.sha256))
        return None

    def read_json(self, sha256: str) -> dict[str, Any]:
        """Return a stored record."""
        return json.loads(self._read(sha256))  # type: ignore[no-any-return]

    def has(self, sha256: str) -> bool:
        """Whether a file is in the store."""
        try:
            self.store.path(self.spec.space, sha256)
        except errors.NotFound:
            return False
        return True

    def num_outputs(self, params: Params) -> int:
        """Return how many classes the model tells apart; it is asked of an empty image, of no sample."""
        blank = torch.zeros(1, *self.source.input_shape)
        model = self.build()
        with calling.evaluating(model), torch.no_grad():
            return calling.logits(model, params, blank).shape[1]

    def placed(self, params: Params) -> Params:
        """Return parameters on the bench's device."""
        return {name: tensor.to(self.device) for name, tensor in params.items()}

    def stored(self, name: str, sha256: str, *, is_public: bool = False) -> StoredFile:
        """Return a file that is in the store already."""
        size = self.store.path(self.spec.space, sha256).stat().st_size
        return StoredFile(name=name, sha256=sha256, size=size, is_public=is_public)

    def keep(self, name: str, params: Params, *, is_public: bool = False) -> StoredFile:
        """Store tensors under a name."""
        return self._put(name, pieces(params), is_public=is_public)

    def keep_json(self, name: str, value: Mapping[str, object], *, is_public: bool = False) -> StoredFile:
        """Store a record under a name."""
        return self._put(name, [json.dumps(value, sort_keys=True).encode()], is_public=is_public)

    def samples(self, split: str, without: NDArray[np.int64]) -> SampleSet:
        """Return a split without some positions."""
        positions = self.source.manifest.positions(split)
        return SampleSet(self.source, positions[~np.isin(positions, without)])

    def tuning(self, without: NDArray[np.int64]) -> SampleSet:
        """Return the even half of the holdout, by which strengths are chosen, without some positions."""
        return self._half_of_holdout(0, without)

    def unseen(self, without: NDArray[np.int64]) -> SampleSet:
        """Return the odd half of the holdout, by which candidates are audited, without some positions."""
        return self._half_of_holdout(1, without)

    def _shelved(self, sha256: str, check: Callable[[Params], Params]) -> Params:
        def load() -> Params:
            return self.placed(check(self._read_tensors(sha256)))

        return self.shelf.get(f"{self.spec.space}/{sha256}", load)

    def _half_of_holdout(self, parity: int, without: NDArray[np.int64]) -> SampleSet:
        positions = self.source.manifest.positions("holdout")[parity::2]
        return SampleSet(self.source, positions[~np.isin(positions, without)])

    def _read(self, sha256: str) -> bytes:
        return self.store.read(self.spec.space, sha256)

    def _read_tensors(self, sha256: str) -> Params:
        return read_file(self.store.verified(self.spec.space, sha256))

    def _put(self, name: str, chunks: Iterable[bytes], *, is_public: bool) -> StoredFile:
        stored = self.store.put(self.spec.space, chunks)
        return StoredFile(name=name, sha256=stored.sha256, size=stored.size, is_public=is_public)
