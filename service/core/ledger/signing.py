"""The two halves of a named Ed25519 key: `Signer` keeps the secret, `Verifier` is what a stranger holds.

A verifier is written as a C2SP vkey, `name+hex(key id)+base64(0x01 || public key)`, with
key id = SHA-256(name || 0x0A || 0x01 || public key)[:4]. Law: `Verifier.parse(v.vkey) == v`.

One key signs checkpoints and certificates. The two cannot be mistaken for each other: a note's text ends
in a newline and opens with the log's name, which holds no space; a certificate's signed bytes open with
"DSSEv1 " and end in "}".
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from service.core.ledger import canonical, errors

KEY_ID_BYTES = 4
_ED25519 = b"\x01"
_PUBLIC_KEY_BYTES = 32
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A named public key.

    Attributes:
        name: Usually the log's origin, such as lethe.example/log.
        public_key: 32 bytes, RFC 8032.
    """

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        require_key_name(self.name)
        if len(self.public_key) != _PUBLIC_KEY_BYTES:
            raise errors.MalformedKey(f"expected a public key of 32 bytes, got {len(self.public_key)}")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of the hash of name, algorithm and key: a hint, not a commitment."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def label(self) -> str:
        """`name+hex(key id)`: which key is meant, without the key."""
        return f"{self.name}+{self.key_id.hex()}"

    @property
    def vkey(self) -> str:
        """The one-line form to publish."""
        return f"{self.label}+{canonical.base64_text(_ED25519 + self.public_key)}"

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """Read a vkey.

        Raises:
            MalformedKey: It is not one, its algorithm is not Ed25519, or its key id is not its key's.
        """
        parts = vkey.split("+", 2)  # base64 may hold a plus, a name may not
        data = canonical.parse_base64(parts[-1]) or b""
        if len(parts) != 3 or not _KEY_ID_HEX.fullmatch(parts[1]):
            raise errors.MalformedKey("expected a verification key name+hex+base64, got another format")
        if data[:1] != _ED25519:
            raise errors.MalformedKey("expected an Ed25519 verification key (type 0x01), got another type")
        verifier = cls(parts[0], data[1:])
        if verifier.key_id.hex() != parts[1]:
            raise errors.MalformedKey(f"expected key id {verifier.key_id.hex()} for this key, got {parts[1]}")
        return verifier

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made this signature over this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no point on the curve
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """A named private key."""

    name: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        require_key_name(self.name)

    @cached_property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.private_key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes, deterministic (RFC 8032)."""
        return self.private_key.sign(message)


def require_key_name(name: str) -> None:
    """Refuse a key name that a signature line could not carry.

    Raises:
        MalformedKey: It is empty, not Unicode, or holds a space, a control character or a plus.
    """
    is_text = not any("\ud800" <= char <= "\udfff" for char in name)
    if not name or not is_text or any(char.isspace() or char < " " or char == "+" for char in name):
        raise errors.MalformedKey("expected a key name without spaces or plus, like lethe.example/log")
