"""How the Fishers of a version lie in the store, and how they are read again.

    prepared/FAMILY/3.safetensors      mean Fisher of class 3, compact; absent if there are too many classes
    prepared/FAMILY/whole.safetensors  sum over all classes of count times mean, float64
    prepared/FAMILY/record.json        the weights they were taken at, the counts by class, and any precision
                                       but float32

A class is forgotten by leaving its own file behind and taking it out of the whole. FAMILY is `class_fisher`,
of training samples, or `code_fisher`, of mnemonic codes: both at the weights as they were trained, if nothing
but classes was forgotten since. `current_fisher` is the whole of the training samples at the version's own.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch

from service.core.storage.filesystem import FilesystemStore
from workers.engine.messages import StoredFile
from workers.engine.workbench import Workbench
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params, WeightsError, read_file, write_file
from workers.numerics.precision import Precision
from workers.preparation.fishers import Tally


class Family(StrEnum):
    """What the gradients were taken of."""

    CLASS = "class_fisher"
    CODE = "code_fisher"
    CURRENT = "current_fisher"


OWN = re.compile(r"prepared/([a-z_]+)/(\d+)\.safetensors")


@dataclass(frozen=True)
class Kept:
    """The Fishers of one family that a version has.

    Attributes:
        family: which.
        weights_sha256: the weights that they were taken at.
        counts: class -> its samples.
        whole: the sum's file.
        own: class -> its file; empty if none are kept.
    """

    family: Family
    weights_sha256: str
    counts: dict[int, int]
    whole: StoredFile
    own: dict[int, StoredFile]

    @property
    def has_own(self) -> bool:
        """Whether each class's own is kept."""
        return self.own.keys() == self.counts.keys()

    def information(self, bench: Workbench) -> ClassInformation:
        """Return what is kept, each file read when it is asked for; only if each class's own is."""
        return ClassInformation(
            self.counts,
            lambda label: {name: own.float() for name, own in bench.tensors(self.own[label].sha256).items()},
            lambda: bench.tensors(self.whole.sha256),
        )


def find(bench: Workbench, files: Sequence[StoredFile], family: Family) -> Kept | None:
    """Return what a version has kept of a family, or None."""
    by_name = {file.name: file for file in files}
    record, whole = by_name.get(_record_name(family)), by_name.get(_whole_name(family))
    if record is None or whole is None:
        return None
    told = bench.read_json(record.sha256)
    own = {
        int(match[2]): file
        for file in files
        if (match := OWN.fullmatch(file.name)) is not None and match[1] == family
    }
    return Kept(family, told["weights"], {int(c): n for c, n in told["counts"].items()}, whole, own)


def files_of(files: Sequence[StoredFile], family: Family) -> list[StoredFile]:
    """Return the files of a family among a version's."""
    return [file for file in files if file.name.startswith(f"prepared/{family}/")]


def keep_own(bench: Workbench, family: Family, label: int, mean: Params) -> StoredFile:
    """Store a class's own Fisher, compact already."""
    return bench.keep(f"prepared/{family}/{label}.safetensors", mean)


def keep_sum(
    bench: Workbench, family: Family, weights_sha256: str, counts: dict[int, int], whole: Params
) -> list[StoredFile]:
    """Store a sum and the record that belongs to it."""
    record: dict[str, object] = {
        "weights": weights_sha256,
        "counts": {str(label): n for label, n in counts.items()},
    }
    if bench.precision is not Precision.FLOAT32:
        record["precision"] = bench.precision.value
    return [bench.keep(_whole_name(family), whole), bench.keep_json(_record_name(family), record)]


def keep_without(bench: Workbench, kept: Kept, leaving: Collection[int]) -> list[StoredFile]:
    """Store what is left of a family when some classes leave; only if each class's own is kept."""
    staying = {label: count for label, count in kept.counts.items() if label not in leaving}
    left = kept.information(bench).without([label for label in leaving if label in kept.counts])
    return [
        *(file for label, file in kept.own.items() if label in staying),
        *keep_sum(bench, kept.family, kept.weights_sha256, staying, left),
    ]


class Checkpoint:
    """Notes how far a pass over the data is, so that the next attempt goes on from there.

    Args:
        store: Where the model's files lie.
        space: The model's.
        family: Which pass.
        weights_sha256: The weights it is taken at; a checkpoint of other weights is none.
    """

    def __init__(self, store: FilesystemStore, space: str, family: Family, weights_sha256: str) -> None:
        self._path = store.checkpoint(space, f"{family}-{weights_sha256}")

    def read(self) -> tuple[Tally, dict[int, StoredFile]]:
        """Return the tally and the own files of its classes; an empty one if there is nothing to read."""
        try:
            tensors = read_file(self._path)
            told = json.loads(bytes(tensors.pop("record").tolist()))
        except (OSError, WeightsError, KeyError, ValueError):
            return Tally(), {}
        own = {file["label"]: StoredFile.model_validate(file["file"]) for file in told["own"]}
        counts = {int(label): count for label, count in told["counts"].items()}
        whole = {name.removeprefix("whole/"): tensor for name, tensor in tensors.items()}
        return Tally(whole, counts, tuple(told["loose"])), own

    def write(self, tally: Tally, own: dict[int, StoredFile]) -> None:
        """Put the present tally in the place of the one before."""
        record = {
            "counts": tally.counts,
            "loose": tally.loose,
            "own": [{"label": label, "file": file.model_dump()} for label, file in own.items()],
        }
        text = torch.tensor(list(json.dumps(record).encode()), dtype=torch.uint8)
        whole = {f"whole/{name}": tensor for name, tensor in tally.whole.items()}
        write_file(self._path, {"record": text, **whole})

    def remove(self) -> None:
        """Forget how far the pass was: it is done."""
        self._path.unlink(missing_ok=True)


def _whole_name(family: Family) -> str:
    return f"prepared/{family}/whole.safetensors"


def _record_name(family: Family) -> str:
    return f"prepared/{family}/record.json"
