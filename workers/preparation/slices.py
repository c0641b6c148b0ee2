"""Where the states after each slice of a training in shards are kept: one checkpoint a slice, in one folder.

A file is named by the digest of all that its state learned from, in order. So a sample that must go needs no
search: the states that saw it have names that the training without it never asks for, and those from before
it keep theirs. A state that is not here, or cannot be read, is trained again: what is kept saves time and
decides nothing.

    ROOT/TRAINING/STATE.safetensors      both names 64 hexadecimal digits

They are weights that learned from samples: as private as the model, and to be purged like it.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from workers.preparation.checkpoints import Checkpoint, Checkpoints
from workers.preparation.errors import CheckpointError
from workers.preparation.identity import digest_of

TRAINING = ("recipe", "data set", "architecture")
"""The parts of an identity that all states of a training share, on whatever device."""


class Slices:
    """A folder of states.

    Args:
        root: the folder of all trainings; made when first written to.
        on_failure: told why a state could not be written; the training goes on.
    """

    def __init__(self, root: Path, on_failure: Callable[[OSError], None] = lambda error: None) -> None:
        self.root = root
        self._on_failure = on_failure

    def folder(self, identity: Mapping[str, str]) -> Path:
        """Return the folder of a training, or of the training that a state belongs to."""
        return self.root / digest_of(identity, TRAINING)

    def load(self, state: Mapping[str, str]) -> Checkpoint | None:
        """Return the state of this identity, or None if it is not here or no longer whole."""
        try:
            return self._file(state).load(state)
        except CheckpointError:
            return None

    def save(self, checkpoint: Checkpoint, state: Mapping[str, str]) -> None:
        """Keep a state, or tell why not.

        Raises:
            TrainingError: the training has diverged.
        """
        try:
            self.folder(state).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            self._on_failure(error)
            return
        self._file(state).save(checkpoint, state)

    def others(self, identity: Mapping[str, str], names: Collection[str]) -> list[Path]:
        """Return every file of a training but the states of these names, half-written ones among them."""
        folder = self.folder(identity)
        kept = {f"{name}.safetensors" for name in names}
        return sorted(file for file in folder.glob("*") if file.name not in kept) if folder.is_dir() else []

    def _file(self, state: Mapping[str, str]) -> Checkpoints:
        return Checkpoints(
            self.folder(state) / f"{digest_of(state)}.safetensors", on_failure=self._on_failure
        )
