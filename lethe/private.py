"""Files for their owner's eyes alone, written whole or not at all."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make a folder, and what is missing above it, that only its owner may enter; leave one that is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def write_private(file: Path, text: str) -> None:
    """Replace a file's content durably; whoever reads it sees the old text or the new, never half."""
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial).replace(file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def kept_secret(file: Path, make: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
    """Return the secret in a file; on the first call, make it.

    Two callers at once get the same secret: the first to write wins.
    """
    if not file.exists():
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(make() + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(partial, file)
        finally:
            Path(partial).unlink()
    return file.read_text(encoding="utf-8").strip()
