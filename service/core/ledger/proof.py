"""C2SP tlog-proofs: one file that shows, offline, that an entry stands in a log.

    c2sp.org/tlog-proof@v1
    extra ZXh0cmE=                    (optional, not authenticated)
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=   one sibling a line, the leaf's first

    lethe.example/log                 the checkpoint, verbatim
    ...

Law: `parse(p.to_bytes()) == p`, and `parse(b).to_bytes() == b` for whatever parses.
"""

import re
from dataclasses import dataclass

from service.core.ledger import canonical, checkpoint, errors, merkle, note, signing

MEDIA_TYPE = "text/plain; charset=utf-8"
MAX_HASHES = 63
"""Below 2**63 entries no path is longer."""

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_EXTRA = "extra "


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof and the checkpoint it leads to.

    Attributes:
        index: The entry's position in the log.
        hashes: Siblings of 32 bytes, from the leaf's to the root's child.
        checkpoint: The signed checkpoint, as the log wrote it.
        extra: Whatever an application put beside the proof. Nothing vouches for it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The `.tlog-proof` file."""
        lines = [_FIRST_LINE]
        if self.extra is not None:
            lines.append(_EXTRA + canonical.base64_text(self.extra))
        lines.append(f"index {self.index}")
        lines += [canonical.base64_text(sibling) for sibling in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint


def prove(index: int, signed_checkpoint: bytes, node: merkle.NodeReader) -> Proof:
    """Make the proof that an entry stands in the tree of a checkpoint of ours.

    Raises:
        Malformed: The checkpoint is not one.
        OutOfTree: The index is not below its size.
    """
    size = checkpoint.parse(signed_checkpoint).size
    return Proof(index, tuple(merkle.inclusion_proof(index, size, node)), signed_checkpoint)


def parse(data: bytes) -> Proof:
    """Read a proof without trusting it; its checkpoint is kept as it is.

    Raises:
        MalformedProof: It is not one.
    """
    head, gap, signed_checkpoint = data.partition(b"\n\n")
    if not gap or len(data) > note.MAX_NOTE_BYTES or not head.isascii():
        raise errors.MalformedProof("expected a proof in ASCII, an empty line and a checkpoint")
    first, *lines = head.decode("ascii").split("\n")
    if first != _FIRST_LINE:
        raise errors.MalformedProof(f"expected the first line {_FIRST_LINE}, got another")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = canonical.parse_base64(lines.pop(0).removeprefix(_EXTRA))
        if extra is None:
            raise errors.MalformedProof("expected base64 after extra")
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if index is None:
        raise errors.MalformedProof("expected a line 'index N' without leading zeroes")
    hashes = tuple(canonical.parse_base64(line) or b"" for line in lines[1:])
    if len(hashes) > MAX_HASHES or any(len(sibling) != merkle.HASH_BYTES for sibling in hashes):
        raise errors.MalformedProof(f"expected at most {MAX_HASHES} lines, each the base64 of 32 bytes")
    return Proof(int(index[1]), hashes, signed_checkpoint, extra)


def verify(proof: Proof, entry: bytes, verifier: signing.Verifier) -> checkpoint.Checkpoint:
    """Check that this entry stands in this log at the proof's index.

    Returns:
        The checkpoint it was checked against.

    Raises:
        Malformed: The proof's checkpoint is not one.
        Unverified: The checkpoint is not the log's, or the proof does not lead to its root.
        OutOfTree: The index is not below the checkpoint's size.
    """
    head = checkpoint.verify(proof.checkpoint, verifier)
    merkle.verify_inclusion(merkle.leaf_hash(entry), proof.index, head.size, proof.hashes, head.root)
    return head
