"""An artefact store in a folder: written to a temporary name, fsynced, renamed."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.core import errors
from service.core.storage.base import Stored

CHUNK_BYTES = 1 << 20
DIGEST = re.compile(r"[0-9a-f]{64}")
SPACE = re.compile(r"[0-9a-zA-Z_-]{1,80}")
PARTIAL = ".partial-"
CHECKPOINT = ".checkpoint-"


class FilesystemStore:
    """Artefacts at `root/SPACE/ab/abcdef...`.

    Args:
        root: Folder of the store; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, space: str, chunks: Iterable[bytes]) -> Stored:
        """Store the concatenation of chunks durably; see `ArtefactStore.put`."""
        folder = self._space(space)
        partial: Path | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=PARTIAL, delete=False) as file:
                partial = Path(file.name)
                digest, size = hashlib.sha256(), 0
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            stored = Stored(digest.hexdigest(), size)
            final = self._file(space, stored.sha256)
            final.parent.mkdir(exist_ok=True, mode=0o700)
            partial.replace(final)
            for changed in (final.parent, folder, self.root):
                _sync_folder(changed)
        except OSError as error:
            raise errors.Unavailable(
                f"The artefact store could not write ({error.strerror}). Free space on its disk, then retry.",
                code="storage_unavailable",
            ) from error
        else:
            return stored
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)

    def read(self, space: str, sha256: str) -> bytes:
        """Return the bytes, verified; see `ArtefactStore.read`."""
        try:
            data = self.path(space, sha256).read_bytes()
        except FileNotFoundError as error:  # purged since `path` looked
            raise _purged(sha256) from error
        _check(sha256, hashlib.sha256(data).hexdigest())
        return data

    def verified(self, space: str, sha256: str) -> Path:
        """Return the artefact's file after its digest was held against its bytes, read in pieces.

        For what is too large to be held in memory twice. It is read again by the caller: an artefact never
        changes in place, so that this finds what decays on the disk, not who may write to it.

        Raises:
            errors.NotFound: As `path`.
            errors.IntegrityBroken: As `read`.
        """
        file = self.path(space, sha256)
        digest = hashlib.sha256()
        try:
            for chunk in chunks_of(file):
                digest.update(chunk)
        except FileNotFoundError as error:  # purged since `path` looked
            raise _purged(sha256) from error
        _check(sha256, digest.hexdigest())
        return file

    def path(self, space: str, sha256: str) -> Path:
        """Return the artefact's file; see `ArtefactStore.path`."""
        file = self._file(space, sha256)
        if not file.is_file():
            raise _purged(sha256)
        return file

    def delete(self, space: str, sha256: str) -> int:
        """Remove an artefact and return the bytes freed; see `ArtefactStore.delete`."""
        file = self._file(space, sha256)
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            return 0
        _sync_folder(file.parent)
        return size

    def digests(self, space: str) -> Iterator[str]:
        """Yield the digest of every artefact in a space."""
        for file in self._space(space).glob("??/*"):
            if DIGEST.fullmatch(file.name):
                yield file.name

    def sweep_partials(self, space: str) -> None:
        """Remove what killed writers left behind; a writer that lives is told that it could not write."""
        for file in self._space(space).glob(PARTIAL + "*"):
            file.unlink(missing_ok=True)

    def checkpoint(self, space: str, name: str) -> Path:
        """Return where work on a space that may be killed notes how far it is; its folder is there.

        The file holds what the space's artefacts hold, so it lies beside them and goes with them.
        """
        folder = self._space(space)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{CHECKPOINT}{name}"

    def sweep_checkpoints(self, space: str) -> None:
        """Remove every checkpoint of a space; whoever left one begins anew."""
        for file in self._space(space).glob(f"*{CHECKPOINT}*"):
            file.unlink(missing_ok=True)

    def _space(self, space: str) -> Path:
        if not SPACE.fullmatch(space):
            raise errors.Invalid("A store space is a short name of letters, digits, '-' and '_'.")
        return self.root / space

    def _file(self, space: str, sha256: str) -> Path:
        if not DIGEST.fullmatch(sha256):
            raise errors.Invalid("An artefact is named by 64 lower-case hexadecimal digits.")
        return self._space(space) / sha256[:2] / sha256


def chunks_of(file: Path) -> Iterator[bytes]:
    """Yield a file's bytes in bounded pieces."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _check(expected: str, found: str) -> None:
    if found != expected:
        raise errors.IntegrityBroken(
            f"Artefact {expected[:12]} has other bytes than when it was stored. Restore it from a backup."
        )


def _purged(sha256: str) -> errors.NotFound:
    return errors.NotFound(f"Artefact {sha256[:12]} is not in the store; it may have been purged.")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
