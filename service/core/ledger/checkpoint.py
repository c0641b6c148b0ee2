"""C2SP tlog-checkpoints: what a log says about itself, in three signed lines.

    lethe.example/log
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — lethe.example/log Az3grlgtzPICa5OS...

Origin, number of entries, base64 of the Merkle root; the log signs under its origin's name.
Laws: `parse_text(c.text) == c`; `verify(sign(c, signer), signer.verifier) == c`.
"""

import re
from dataclasses import dataclass

from service.core.ledger import canonical, errors, merkle, note, signing

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree.

    Attributes:
        origin: Which log this is; one non-empty line.
        size: Number of entries.
        root: 32 bytes.
        extensions: Further lines, opaque to us; ours are none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines that are signed."""
        lines = (self.origin, str(self.size), canonical.base64_text(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def sign(checkpoint: Checkpoint, signer: signing.Signer) -> bytes:
    """Sign a checkpoint of our own log.

    Raises:
        WrongOrigin: The key's name is not the origin.
        MalformedCheckpoint: The record would not read back as itself.
    """
    _require_origin(checkpoint, signer.name)
    if parse_text(checkpoint.text) != checkpoint:
        raise errors.MalformedCheckpoint("expected an origin and extensions of one non-empty line each")
    return note.sign(checkpoint.text, [signer]).to_bytes()


def parse(data: bytes) -> Checkpoint:
    """Read a signed checkpoint without checking who signed it.

    Raises:
        MalformedNote: It is no signed note.
        MalformedCheckpoint: Its text is no checkpoint.
    """
    return parse_text(note.parse(data).text)


def verify(data: bytes, verifier: signing.Verifier) -> Checkpoint:
    """Read a signed checkpoint that this key must have signed, for the log of its name.

    Raises:
        MalformedNote: It is no signed note.
        MalformedCheckpoint: Its text is no checkpoint.
        BadSignature: The key's signature does not fit.
        UnknownSigner: The key has not signed it.
        WrongOrigin: It speaks of another log.
    """
    signed = note.parse(data)
    note.verify(signed, [verifier])
    checkpoint = parse_text(signed.text)
    _require_origin(checkpoint, verifier.name)
    return checkpoint


def parse_text(text: str) -> Checkpoint:
    """Read the lines of a checkpoint.

    Raises:
        MalformedCheckpoint: They are not one.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or "" in lines:
        raise errors.MalformedCheckpoint("expected three or more non-empty lines: origin, size, root hash")
    origin, size, root_text, *extensions = lines
    root = canonical.parse_base64(root_text)
    if not _SIZE.fullmatch(size) or int(size) >= 2**63:
        raise errors.MalformedCheckpoint(
            "expected a tree size in decimal without leading zeroes, below 2**63"
        )
    if root is None or len(root) != merkle.HASH_BYTES:
        raise errors.MalformedCheckpoint("expected the base64 of a root hash of 32 bytes")
    if size == "0" and root != merkle.EMPTY_ROOT:
        raise errors.MalformedCheckpoint("expected the root of an empty tree to be the hash of nothing")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def _require_origin(checkpoint: Checkpoint, name: str) -> None:
    if checkpoint.origin != name:
        raise errors.WrongOrigin(f"expected a checkpoint of {name}, got one of another origin")
