"""What the ledger refuses: one family, grouped by where the fault lies.

`Malformed` bytes are not in the format they claim; `Unverified` ones are, but the evidence does not hold;
the rest refuse what a caller asked for. No message ever quotes a sample id, a subject id or a key.
"""

from typing import ClassVar


class LedgerError(Exception):
    """Anything the ledger refuses."""

    code: ClassVar[str] = "ledger_error"


class Malformed(LedgerError):
    """Bytes or text are not in the format they claim to be in."""

    code = "ledger_malformed"


class MalformedKey(Malformed):
    """A verification key string, or a key name, is not one."""


class MalformedNote(Malformed):
    """A signed note breaks the C2SP signed-note format."""


class MalformedCheckpoint(Malformed):
    """A note's text is not a C2SP tlog-checkpoint."""


class MalformedTile(Malformed):
    """A tile path, a hash tile or an entry bundle is not one."""


class MalformedProof(Malformed):
    """A file is not a C2SP tlog-proof."""


class MalformedEntry(Malformed):
    """A leaf's bytes are not a ledger record of version 1."""


class MalformedEnvelope(Malformed):
    """A file is not a DSSE envelope."""


class MalformedCertificate(Malformed):
    """A signed payload is not an erasure statement of version 1."""


class Unverified(LedgerError):
    """The format is right but the evidence does not hold."""

    code = "ledger_unverified"


class BadSignature(Unverified):
    """A known key's signature does not fit the bytes."""


class UnknownSigner(Unverified):
    """None of the signatures is by a key that was asked for."""


class WrongOrigin(Unverified):
    """A checkpoint speaks of another log than its key does."""


class NotIncluded(Unverified):
    """An inclusion proof does not lead from the entry to the root."""


class NotConsistent(Unverified):
    """The later tree does not begin with the earlier one."""


class Refused(LedgerError):
    """What a caller asked the ledger to write cannot be written."""

    code = "ledger_refused"


class NotCanonical(Refused):
    """A value has no canonical JSON form, or bytes are not in it."""


class EntryRefused(Refused):
    """An entry's kind, time or body cannot be recorded."""


class EntryTooLarge(EntryRefused):
    """An entry does not fit an entry bundle."""

    code = "ledger_entry_too_large"


class CertificateRefused(Refused):
    """A certificate would claim something its fields do not support."""


class OutOfTree(Refused):
    """An index or size lies outside the tree."""


class KeyFileError(LedgerError):
    """A key file cannot be read, made, or understood."""

    code = "ledger_key_file"


class PseudonymError(LedgerError):
    """An identifier cannot be turned into a pseudonym.

    Attributes:
        position: Its position among the identifiers given, 0 when there was one. The identifier itself
            is kept nowhere, nor in the error's context.
    """

    code = "pseudonym_impossible"

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position
