"""C2SP signed notes: a text, an empty line, and one signature line a key.

    the text, one or more lines

    — name base64(key id || signature)

Law: `parse(n.to_bytes()) == n`, and `parse(b).to_bytes() == b` for whatever parses. The text means nothing
until `verify` has passed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from service.core.ledger import canonical, errors, signing

MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: The key's name.
        key_id: Four bytes.
        signature: What the key's algorithm made of the text.
    """

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures that claim to cover it.

    Attributes:
        text: Ends in a newline.
        signatures: At least one.
    """

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        lines = (
            f"{_DASH}{line.name} {canonical.base64_text(line.key_id + line.signature)}\n"
            for line in self.signatures
        )
        return f"{self.text}\n{''.join(lines)}".encode()


def sign(text: str, signers: Iterable[signing.Signer]) -> Note:
    """Sign a text that ends in a newline.

    Raises:
        MalformedNote: The text cannot be a note's.
    """
    _require_text(text)
    message = text.encode()
    return Note(text, tuple(Signature(s.name, s.verifier.key_id, s.sign(message)) for s in signers))


def parse(data: bytes) -> Note:
    """Read a note without trusting it.

    Raises:
        MalformedNote: It is too large, not UTF-8, or breaks the format.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise errors.MalformedNote(f"expected a note of at most {MAX_NOTE_BYTES} bytes, got {len(data)}")
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.MalformedNote(f"expected UTF-8, got another byte at {error.start}") from error
    before, gap, after = content.rpartition("\n\n")
    if not gap or not after.endswith("\n"):
        raise errors.MalformedNote("expected a text, an empty line and signature lines that end in a newline")
    text, lines = before + "\n", after[:-1].split("\n")
    _require_text(text)
    if len(lines) > MAX_SIGNATURES:
        raise errors.MalformedNote(f"expected at most {MAX_SIGNATURES} signatures, got {len(lines)}")
    return Note(text, tuple(_parse_signature(line) for line in lines))


def verify(note: Note, verifiers: Iterable[signing.Verifier]) -> tuple[signing.Verifier, ...]:
    """Check every signature by a key we know; other keys' lines are left alone.

    Returns:
        The verifiers whose signature was found and holds, at least one.

    Raises:
        BadSignature: A known key's signature does not fit the text.
        UnknownSigner: No signature is by a known key.
    """
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    message, found = note.text.encode(), list[signing.Verifier]()
    for line in note.signatures:
        verifier = known.get((line.name, line.key_id))
        if verifier is None:
            continue
        if not verifier.accepts(message, line.signature):
            raise errors.BadSignature(
                f"the signature of {verifier.label} does not fit the text it stands under"
            )
        if verifier not in found:
            found.append(verifier)
    if not found:
        wanted = ", ".join(verifier.label for verifier in known.values())
        raise errors.UnknownSigner(f"expected a signature by {wanted}, got none")
    return tuple(found)


def _require_text(text: str) -> None:
    if not text.endswith("\n") or text == "\n":
        raise errors.MalformedNote("expected a text of at least one line that ends in a newline")
    if any((char < " " and char != "\n") or "\ud800" <= char <= "\udfff" for char in text):
        raise errors.MalformedNote("expected text without control characters")


def _parse_signature(line: str) -> Signature:
    parts = line.removeprefix(_DASH).split(" ")
    data = canonical.parse_base64(parts[-1]) or b""
    if not line.startswith(_DASH) or len(parts) != 2 or len(data) <= signing.KEY_ID_BYTES:
        raise errors.MalformedNote("expected a signature line: em dash, name, base64 of key id and signature")
    try:
        signing.require_key_name(parts[0])
    except errors.MalformedKey as error:
        raise errors.MalformedNote("expected a key name in the signature line") from error
    return Signature(parts[0], data[: signing.KEY_ID_BYTES], data[signing.KEY_ID_BYTES :])
