"""What of a training is recorded, so that parts of it can be subtracted later; and how large that gets.

Vocabulary. A *record* holds how far something has moved the weights: of one batch, or of one sample over all
batches it was in. *Recorded entries* are the scalars of the trainable parameters that the log covers, laid
end to end; of these each record keeps a *subset*, drawn once for it.

- by batch: "Amnesiac machine learning" (Graves, Nagisetty, Ganesh; AAAI 2021). One record a step. As `step`
  it is the weights after the step minus those before, whatever the optimizer did; as `tail` it is what the
  batch's gradient did in this and all later steps (`accounting`). With a subset it is the approximation of
  "Efficient knowledge deletion from trained models through layer-wise partial machine unlearning" (Gogineni,
  Nadimi; 2024).
- by sample: "Per-sample amnesiac unlearning" (Marincione; 2024). One record a sample, the sum over the steps
  of its part of the batch's gradient as `tail`. Size O(N M p), not O(M E N / B).
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workers.numerics import layers, seeding
from workers.numerics.params import trainable_names
from workers.preparation.errors import RecordError

NONCE_BYTES, TAG_BYTES, HEAD_BYTES = 12, 16, 12
"""Of a record beside its values: AES-GCM's nonce and tag; the last step it includes, and its scale."""
KEY_ENTRY_BYTES = 40
MEMBER_BYTES = 4


class Granularity(StrEnum):
    """What a record is of."""

    BATCH = "batch"
    SAMPLE = "sample"


class Account(StrEnum):
    """How a record tells what moved the weights."""

    STEP = "step"  # weights after the step minus before: exact of the step, with all that momentum carried in
    TAIL = "tail"  # the gradient's share of this and all later steps: exact of the gradient, linearly


class Precision(StrEnum):
    """How a recorded value is kept."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        """Torch's own."""
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[self.value]


@dataclass(frozen=True)
class Recording:
    """What to record.

    Attributes:
        granularity: of a record.
        account: of a record.
        fraction: of the recorded entries that each record keeps; the paper's p.
        last_layers: how many layers, counted from the output, are recorded; None records all.
        precision: of a value.
    """

    granularity: Granularity = Granularity.SAMPLE
    account: Account = Account.TAIL
    fraction: float = 1.0
    last_layers: int | None = None
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise RecordError(f"expected a fraction above 0 and at most 1, got {self.fraction}; correct it")
        if self.last_layers is not None and self.last_layers < 1:
            raise RecordError(f"expected at least one layer to record, got {self.last_layers}; correct it")
        if self.granularity is Granularity.SAMPLE and self.account is Account.STEP:
            raise RecordError(
                "expected `tail` for a record by sample, got `step`: a step's change is no sum over its "
                "samples where momentum or weight decay take part; record as `tail`, or by batch"
            )

    def to_json(self) -> dict[str, Any]:
        """Return every field as a JSON value."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Recording":
        """Read what `to_json` gave."""
        return cls(
            Granularity(told["granularity"]),
            Account(told["account"]),
            told["fraction"],
            told["last_layers"],
            Precision(told["precision"]),
        )


@dataclass(frozen=True)
class Layout:
    """The shape of a log, known before training starts.

    Attributes:
        recording: what is recorded.
        tensors: name and shape of each recorded parameter, laid end to end.
        num_samples: that are trained on.
        num_steps: of the optimizer.
        batch_width: most samples in a batch.
        seed: draws the subsets.
    """

    recording: Recording
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    num_samples: int
    num_steps: int
    batch_width: int
    seed: int

    @cached_property
    def num_entries(self) -> int:
        """Recorded entries."""
        return sum(torch.Size(shape).numel() for _, shape in self.tensors)

    @cached_property
    def num_kept(self) -> int:
        """Entries that one record keeps; at least one."""
        return max(1, round(self.recording.fraction * self.num_entries))

    @property
    def num_records(self) -> int:
        """Records of a whole training."""
        return self.num_samples if self.recording.granularity is Granularity.SAMPLE else self.num_steps

    @property
    def record_bytes(self) -> int:
        """Bytes of one record, sealed."""
        values = self.num_kept * self.recording.precision.dtype.itemsize
        return NONCE_BYTES + HEAD_BYTES + values + TAG_BYTES

    @property
    def num_bytes(self) -> int:
        """Bytes of a whole log: records, keys, and who was in which batch; the header is left out."""
        members = 0
        if self.recording.granularity is Granularity.BATCH:
            members = self.num_steps * self.batch_width * MEMBER_BYTES
        return self.num_records * self.record_bytes + self.num_samples * KEY_ENTRY_BYTES + members

    def subset(self, record: int) -> Tensor:
        """Return which entries a record keeps, int64 [num_kept], ascending and distinct.

        One of each of `num_kept` strata of equal length, so that every entry is as likely as any other and
        drawing costs O(p M). It follows from the seed and the record's number, and is stored nowhere.

        Args:
            record: a sample's position, or a step.
        """
        if self.num_kept == self.num_entries:
            return torch.arange(self.num_entries)
        draw = seeding.generator(self.seed, "subset", record)
        within = torch.rand(self.num_kept, dtype=torch.float64, generator=draw)
        strata = torch.arange(self.num_kept, dtype=torch.float64) + within
        drawn = (strata * (self.num_entries / self.num_kept)).long()
        # Strata that begin within an entry share it with their neighbour: move the few that met.
        return _distinct(drawn, self.num_entries)


def layout_of(
    model: nn.Module, recording: Recording, *, num_samples: int, num_steps: int, batch_width: int, seed: int
) -> Layout:
    """Return the layout of a training's log; the model gives names and shapes and is not changed."""
    names: Sequence[str] = trainable_names(model)
    if recording.last_layers is not None:
        last = layers.layers(model)[-recording.last_layers :]
        chosen = {name for layer in last for name in layer.parameters}
        names = [name for name in names if name in chosen]
    tensors = tuple((name, tuple(model.get_parameter(name).shape)) for name in names)
    return Layout(recording, tensors, num_samples, num_steps, batch_width, seed)


def check_room(layout: Layout, free_bytes: int) -> None:
    """Refuse a log that would not fit, before the training that writes it.

    Raises:
        RecordError: says how much is missing and what makes the log smaller.
    """
    if layout.num_bytes > free_bytes:
        raise RecordError(
            f"expected {layout.num_bytes:,} bytes for the log ({layout.num_records:,} records of "
            f"{layout.record_bytes:,}), the disk has {free_bytes:,}; record a smaller share, fewer layers, "
            "or in half precision, or make room"
        )


def _distinct(drawn: Tensor, num_entries: int) -> Tensor:
    """Move entries that two neighbouring strata drew both; [k] ascending -> [k] distinct, ascending."""
    steps = torch.arange(len(drawn))
    risen = torch.cummax(drawn - steps, dim=0).values + steps  # strictly ascending, moved up if at all
    ceiling = num_entries - len(drawn) + steps
    return torch.minimum(risen, ceiling)
