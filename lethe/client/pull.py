"""Pulling a version safely: whole, verified, and never back to one that knows what was forgotten.

A pull folder holds `v1`, `v2`, ... (one folder a version), `current` (a link to the one to serve) and
`pull.json` (what is remembered). Laws, whatever is interrupted: a `vN` that exists is complete and was
verified; `current` points at such a folder; the revocation floor in `pull.json` never falls, and `current`
never moves to a version below it.
"""

import hashlib
import os
import shutil
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path

import httpx

from lethe.client.api import LetheClient
from lethe.client.errors import LetheApiError, LetheError, PullRefused, may_pass
from lethe.client.records import File, Pointer, Version
from lethe.private import write_private

MEMORY = "pull.json"
CURRENT = "current"
ATTEMPTS = 3


@dataclass(frozen=True)
class Memory:
    """What a pull folder remembers.

    Attributes:
        model: Whose versions these are.
        revocation_floor: Lowest version that may be served.
        version: The version that `current` points at; 0 before the first.
        etag: Tag of the pointer that named it.
    """

    model: str
    revocation_floor: int = 0
    version: int = 0
    etag: str = ""


@dataclass(frozen=True)
class Pulled:
    """A version that is ready to be served.

    Attributes:
        version: Which.
        folder: Where its files lie.
        removed: Versions that were deleted because they lie below the floor.
    """

    version: Version
    folder: Path
    removed: tuple[int, ...]


def pull(client: LetheClient, model: str, directory: Path, *, wait_seconds: int = 0) -> Pulled | None:
    """Bring a pull folder up to the served version, and delete what has been revoked.

    Args:
        client: Where to pull from.
        model: The model's name.
        directory: The pull folder; made when missing.
        wait_seconds: How long the server may wait for a change.

    Returns:
        What `current` points at now, or None if that did not change.

    Raises:
        PullRefused: The offer lies below the remembered floor, its bytes are not those promised, or the
            folder belongs to another model.
        LetheApiError, LetheUnreachable: See `LetheClient`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    memory = _remembered(directory, model)
    for attempt in range(1, ATTEMPTS + 1):
        has_current = memory.version and _folder(directory, memory.version).is_dir()
        etag = memory.etag if has_current else None
        pointer = client.latest(model, etag=etag, wait_seconds=wait_seconds)
        if pointer is None:
            return None
        try:
            return _take(client, memory, pointer, directory)
        except LetheError as error:
            if attempt == ATTEMPTS or not (may_pass(error) or _was_withdrawn(error)):
                raise
    raise AssertionError("the last attempt returns or raises")


def download(client: LetheClient, model: str, version: Version, directory: Path) -> Path:
    """Fetch a version's files into `directory/vN` and return that folder; it is whole or not there.

    A download that was interrupted goes on where it stopped.

    Raises:
        PullRefused: A file's bytes are not those promised, or its name is no plain file name.
        LetheApiError: The version was withdrawn (410), or another refusal.
    """
    folder = _folder(directory, version.version)
    if folder.is_dir():
        return folder
    unfinished = directory / f".v{version.version}.unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    for file in version.files:
        if Path(file.name).name != file.name or file.name.startswith("."):
            raise PullRefused(
                "A file of this version has a name that is not a plain file name. Do not use it."
            )
        _fetch(client, model, version.version, file, unfinished / file.name)
    _sync(unfinished)
    unfinished.rename(folder)
    _sync(directory)
    return folder


def _take(client: LetheClient, memory: Memory, pointer: Pointer, directory: Path) -> Pulled:
    version = pointer.version
    floor = max(memory.revocation_floor, version.revocation_floor)
    if version.version < floor:
        raise PullRefused(
            f"Version {version.version} was offered, but versions below {floor} were revoked: they know what "
            "was forgotten. Nothing was changed; that Lethe may run on an old backup."
        )
    _remember(directory, Memory(memory.model, floor, memory.version, memory.etag))
    folder = download(client, memory.model, version, directory)
    _link(directory, folder)
    _remember(directory, Memory(memory.model, floor, version.version, pointer.etag))
    return Pulled(version, folder, _remove_below(directory, floor))


def _was_withdrawn(error: LetheError) -> bool:
    """Whether the version was withdrawn since the pointer named it."""
    return isinstance(error, LetheApiError) and error.status == httpx.codes.GONE


def _fetch(client: LetheClient, model: str, number: int, file: File, target: Path) -> None:
    """Fetch or complete one file and verify it."""
    present = target.stat().st_size if target.exists() else 0
    if present > file.size:
        target.unlink()
        present = 0
    if present < file.size or file.size == 0:
        with client.file(model, number, file.name, start=present) as response:
            is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
            with target.open("ab" if is_rest else "wb") as stream:
                for chunk in response.iter_bytes():
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
    with target.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        target.unlink()
        raise PullRefused(
            f"A file of version {number} was to have the SHA-256 {file.sha256[:12]}… and has {found[:12]}…. "
            "It was deleted; pull again."
        )


def _folder(directory: Path, number: int) -> Path:
    return directory / f"v{number}"


def _link(directory: Path, folder: Path) -> None:
    """Point `current` at a folder in one step."""
    draft = directory / f".{CURRENT}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(directory / CURRENT)
    _sync(directory)


def _remove_below(directory: Path, floor: int) -> tuple[int, ...]:
    removed = []
    for folder in directory.iterdir():
        number = folder.name.removeprefix(".").removeprefix("v").removesuffix(".unfinished")
        if folder.is_dir() and not folder.is_symlink() and number.isdecimal() and int(number) < floor:
            shutil.rmtree(folder)
            removed.append(int(number))
    return tuple(sorted(removed))


def _remembered(directory: Path, model: str) -> Memory:
    try:
        memory = Memory(**loads((directory / MEMORY).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Memory(model)
    if memory.model != model:
        raise PullRefused(
            f"The folder {directory} holds versions of {memory.model}, not of {model}. Choose another."
        )
    return memory


def _remember(directory: Path, memory: Memory) -> None:
    write_private(directory / MEMORY, dumps(asdict(memory), indent=2) + "\n")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
