"""What an artefact store promises, whatever keeps the bytes.

An artefact is named by the SHA-256 of its bytes inside the space of one model, so that two models never
share a file and the purge of one cannot take from the other. Storing is atomic: an artefact is there whole or
not at all. Round trip: `read(space, put(space, data).sha256) == data`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """An artefact that is safely in the store.

    Attributes:
        sha256: Digest of its bytes, hex.
        size: Length in bytes.
    """

    sha256: str
    size: int


class ArtefactStore(Protocol):
    """Keeps artefacts by digest."""

    def put(self, space: str, chunks: Iterable[bytes]) -> Stored:
        """Store the concatenation of chunks durably.

        Raises:
            errors.Unavailable: The disk is full or failed; nothing remains of the attempt.
        """
        ...

    def read(self, space: str, sha256: str) -> bytes:
        """Return the bytes, verified.

        Raises:
            errors.NotFound: No such artefact.
            errors.IntegrityBroken: The bytes do not have this digest.
        """
        ...

    def path(self, space: str, sha256: str) -> Path:
        """Return a local file with the bytes, for readers that verify them or stream them to one who does.

        Raises:
            errors.NotFound: No such artefact.
        """
        ...

    def delete(self, space: str, sha256: str) -> int:
        """Remove an artefact and return the bytes freed; 0 when it was gone already."""
        ...

    def digests(self, space: str) -> Iterator[str]:
        """Yield the digest of every artefact in a space."""
        ...
