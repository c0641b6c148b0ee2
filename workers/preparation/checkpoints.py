"""Checkpoints of a training: what a killed one goes on from, in one safetensors file; never a pickle.

A checkpoint belongs to one training and says which by its identity (`identity`); a training refuses that of
another one. It holds no sample, but weights that learned from samples, those to be forgotten among them: keep
it as private as the weights, and remove it once the weights are written.

A file is complete or it is not there: it is written under a temporary name, fsynced, and renamed.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from workers.numerics.params import Params, WeightsError, check_finite
from workers.preparation.errors import CheckpointError, TrainingError

FORMAT = "lethe-checkpoint-1"
EVERY_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training after some step; all tensors are on the CPU.

    Attributes:
        num_done: steps of the optimizer so far.
        seconds: that they took.
        params: the model's full state.
        momentum: SGD's buffer of each parameter that has one.
        generators: state of torch's global generator by kind of device, uint8.
    """

    num_done: int
    seconds: float
    params: Params
    momentum: Params
    generators: dict[str, Tensor]


class Checkpoints:
    """Where a training keeps its checkpoint, and how often.

    A checkpoint that cannot be written, for a full disk say, does not end the training: the one before stays,
    and writing is tried again when the next is due.

    Args:
        path: of the file; its folder must exist.
        every_seconds: time between two; 0 takes one after every step. The last step always has one.
        on_failure: told why one could not be written.
    """

    def __init__(
        self,
        path: Path,
        every_seconds: float = EVERY_SECONDS,
        on_failure: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        self.path = path
        self._every_seconds = every_seconds
        self._on_failure = on_failure
        self._last_at = time.monotonic()

    def load(self, identity: Mapping[str, str]) -> Checkpoint | None:
        """Return the checkpoint of this training, or None if there is no file.

        Raises:
            CheckpointError: the file is no checkpoint, that of another training, or cannot be read.
        """
        self._sweep()
        try:
            found = _read(self.path)
        except FileNotFoundError:
            return None
        except (OSError, safetensors.SafetensorError) as error:
            raise CheckpointError(
                f"expected a checkpoint at {self.path}, it cannot be read ({error}); remove it to start anew"
            ) from error
        metadata, tensors = found
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"expected a checkpoint ({FORMAT}) at {self.path}, got another file; name another path"
            )
        others = [part for part, digest in identity.items() if metadata.get(part) != digest]
        if others:
            raise CheckpointError(
                f"expected the checkpoint of this training at {self.path}, got that of another "
                f"{', '.join(others)}; name another path, or remove the file to start anew"
            )
        return Checkpoint(
            num_done=int(metadata["num_done"]),
            seconds=float(metadata["seconds"]),
            params=_under("params/", tensors),
            momentum=_under("momentum/", tensors),
            generators=_under("generator/", tensors),
        )

    def is_due(self) -> bool:
        """Whether the last attempt is long enough ago."""
        return time.monotonic() - self._last_at >= self._every_seconds

    def save(self, checkpoint: Checkpoint, identity: Mapping[str, str]) -> None:
        """Put a checkpoint in the place of the one before, or tell why not and leave that one.

        Raises:
            TrainingError: the training has diverged; the checkpoint before stays.
        """
        try:
            check_finite({**checkpoint.params, **checkpoint.momentum})
        except WeightsError as error:
            raise TrainingError(
                f"expected training to converge, it diverged ({error}); lower the recipe's learning_rate"
            ) from error
        try:
            _write(self.path, checkpoint, identity)
        except OSError as error:
            self._on_failure(error)
        self._last_at = time.monotonic()

    def remove(self) -> None:
        """Remove the file, if there is one; for when the trained weights are safe."""
        self.path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed trainings wrote half; that of a living process stays."""
        for partial in self.path.parent.glob(f".{self.path.name}.*"):
            process = partial.name.rsplit(".", 1)[1]
            if process.isdecimal() and not _is_alive(int(process)):
                partial.unlink(missing_ok=True)


def _write(path: Path, checkpoint: Checkpoint, identity: Mapping[str, str]) -> None:
    tensors = {
        **{f"params/{name}": tensor for name, tensor in checkpoint.params.items()},
        **{f"momentum/{name}": tensor for name, tensor in checkpoint.momentum.items()},
        **{f"generator/{kind}": state for kind, state in checkpoint.generators.items()},
    }
    metadata = {
        **identity,
        "format": FORMAT,
        "num_done": str(checkpoint.num_done),
        "seconds": repr(checkpoint.seconds),
    }
    content = safetensors.torch.save({name: each.contiguous() for name, each in tensors.items()}, metadata)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, str], Params]:
    """Return a file's metadata and tensors, in memory of their own."""
    content = path.read_bytes()  # not mapped: the file may be replaced or removed while it is used
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(content).items()}
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header.get("__metadata__", {}), tensors


def _under(prefix: str, tensors: Params) -> Params:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
