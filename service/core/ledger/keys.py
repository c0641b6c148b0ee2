"""The secrets kept in files: the ledger's signing key, the pseudonym key, and the workers' noise key.

All are made on first use. However many processes race for a new key, all of them get the same one: each
writes a complete file of its own and links it to the name, which succeeds for exactly one.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from service.core.ledger import errors, pseudonyms

NOISE_KEY_BYTES = 32


def load_or_create_signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in this file (PEM, PKCS #8, not encrypted), made with mode 0600 when there is none.

    Raises:
        KeyFileError: The file cannot be read or made, or holds something else.
    """
    data = _load_or_create(path, _new_signing_key)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise errors.KeyFileError(
            f"expected an unencrypted PEM private key in {path}, got another file"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.KeyFileError(f"expected an Ed25519 key in {path}, got another kind of key")
    return key


def load_or_create_pseudonym_key(path: Path) -> bytes:
    """The 32 bytes in this file (64 hex digits), made with mode 0600 when there is none.

    Raises:
        KeyFileError: The file cannot be read or made, or holds something else.
    """
    return _secret_bytes(path, pseudonyms.KEY_BYTES)


def load_or_create_noise_key(path: Path) -> bytes:
    """The 32 bytes in this file (64 hex digits), made with mode 0600 when there is none.

    Raises:
        KeyFileError: The file cannot be read or made, or holds something else.
    """
    return _secret_bytes(path, NOISE_KEY_BYTES)


def _secret_bytes(path: Path, num_bytes: int) -> bytes:
    data = _load_or_create(path, lambda: secrets.token_hex(num_bytes).encode() + b"\n")
    try:
        key = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != num_bytes:
        raise errors.KeyFileError(f"expected {2 * num_bytes} hex digits in {path}, got another file")
    return key


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, make())
        return path.read_bytes()
    except OSError as error:
        raise errors.KeyFileError(
            f"expected to read or make the key file {path}: {error.strerror}"
        ) from error


def _create(path: Path, data: bytes) -> None:
    """Put a complete file at the path, unless there is one already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key is the key
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
