"""How an update log lies on disk: a folder of four files, of which only the header is readable by itself.

    log.json       what was recorded of which training, how far it is, and the weights it ended at
    keys.bin       one key a sample (`record_keys`)
    records.bin    sealed records, all of one length, by step or by the sample's place among the keys
    members.bin    by batch only: int32 [num_steps, batch_width], places among the keys, -1 for none

A sealed record is nonce, ciphertext and tag of AES-256-GCM; bound to it are the log and the record's number,
so that none can be put in the place of another. What is sealed: the last step it includes (int64), its scale
(float32), and its values divided by the scale. A record by sample is sealed under the sample's key. A record
of a batch holds all its members, so its key is derived from all of theirs: destroy one and nobody can read
it. An unwritten record is zeros.
"""

import json
import os
import secrets
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray
from torch import Tensor

from workers.preparation.errors import RecordError
from workers.preparation.update_log.record_erasure import HEADER, MEMBERS, RECORDS, replace_json
from workers.preparation.update_log.recording import NONCE_BYTES, Granularity, Layout, Precision, Recording

FORMAT = "lethe-update-log-1"
RECORDING, COMPLETE = "recording", "complete"
MEMBER = np.dtype("<i4")
_HEAD = struct.Struct("<qf")


@dataclass(frozen=True)
class Header:
    """What a log says of itself.

    Attributes:
        log_id: 32 hexadecimal digits, bound to every record.
        layout: of the files.
        identity: of the training, digest by part (`identity`).
        state: `recording`, `complete` or `purged`.
        num_done: steps that are on disk for certain.
        weights: SHA-256 of the weights that the training ended at; None until then.
    """

    log_id: str
    layout: Layout
    identity: Mapping[str, str]
    state: str = RECORDING
    num_done: int = 0
    weights: str | None = None


def read_header(folder: Path) -> Header | None:
    """Return a log's header, or None if the folder holds no log.

    Raises:
        RecordError: there is a file, and it is no header of this format.
    """
    try:
        told = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RecordError(
            f"expected an update log in {folder}, its header cannot be read ({error})"
        ) from error
    if told.get("format") != FORMAT:
        raise RecordError(f"expected an update log ({FORMAT}) in {folder}, got another; name another folder")
    shape = told["layout"]
    layout = Layout(
        Recording.from_json(shape["recording"]),
        tuple((name, tuple(size)) for name, size in shape["tensors"]),
        *(shape[part] for part in ("num_samples", "num_steps", "batch_width", "seed")),
    )
    return Header(
        told["log_id"], layout, told["identity"], told["state"], told["num_done"], told.get("weights")
    )


def write_header(folder: Path, header: Header) -> None:
    """Put a header in the place of the one before, whole or not at all."""
    layout = header.layout
    told: dict[str, Any] = {
        "format": FORMAT,
        "log_id": header.log_id,
        "state": header.state,
        "num_done": header.num_done,
        "weights": header.weights,
        "identity": dict(header.identity),
        "layout": {
            "recording": layout.recording.to_json(),
            "tensors": [[name, [*shape]] for name, shape in layout.tensors],
            "num_samples": layout.num_samples,
            "num_steps": layout.num_steps,
            "batch_width": layout.batch_width,
            "seed": layout.seed,
        },
    }
    replace_json(folder / HEADER, told)


def reserve(folder: Path, layout: Layout) -> None:
    """Take the room for all records beforehand, and write that nobody was in any batch yet.

    Raises:
        RecordError: the disk does not give it.
    """
    try:
        handle = os.open(folder / RECORDS, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, layout.num_records * layout.record_bytes)
        finally:
            os.close(handle)
        if layout.recording.granularity is Granularity.BATCH:
            nobody = np.full(layout.batch_width, -1, dtype=MEMBER)
            with (folder / MEMBERS).open("wb") as file:
                for _ in range(layout.num_steps):
                    file.write(nobody.tobytes())
    except OSError as error:
        raise RecordError(
            f"expected room for {layout.num_bytes:,} bytes in {folder}, the disk refuses ({error.strerror}); "
            "make room, and remove the folder"
        ) from error


def batch_key(log_id: str, step: int, keys: Iterable[bytes]) -> bytes:
    """Return the key of a batch's record, derived from those of all its members in ascending order."""
    derived = HKDF(SHA256(), 32, salt=bytes.fromhex(log_id), info=b"lethe batch %d" % step)
    return derived.derive(b"".join(keys))


class Records:
    """The sealed records of one log, open for reading or for writing.

    Args:
        folder: of the log.
        header: its header.
        is_writing: whether to open for writing, and make the file where there is none.

    Raises:
        RecordError: there is nothing to read.
    """

    def __init__(self, folder: Path, header: Header, *, is_writing: bool = False) -> None:
        self._layout, self._log_id = header.layout, bytes.fromhex(header.log_id)
        self._path = folder / RECORDS
        flags = os.O_RDWR if is_writing else os.O_RDONLY
        self._handles: dict[str, int] = {}
        by_batch = self._layout.recording.granularity is Granularity.BATCH
        try:
            for name in (RECORDS, MEMBERS) if by_batch else (RECORDS,):
                self._handles[name] = os.open(folder / name, flags)
        except OSError as error:
            self.close()
            raise RecordError(f"expected records at {self._path}: {error.strerror}") from error

    def read(self, number: int, key: bytes) -> tuple[int, Tensor] | None:
        """Return (last step included, values float32 [num_kept]) of a record; None if it was never written.

        Raises:
            RecordError: it is not what was sealed under this key: torn by a kill, or changed.
        """
        size = self._layout.record_bytes
        sealed = os.pread(self._handles[RECORDS], size, number * size)
        if not any(sealed[:NONCE_BYTES]):
            return None
        try:
            body = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._bound_to(number))
        except InvalidTag as error:
            raise RecordError(
                f"expected record {number} of {self._path} as it was sealed, it was cut short or changed; "
                "remove the log, and train again to have one"
            ) from error
        step, scale = _HEAD.unpack_from(body)
        values = torch.frombuffer(bytearray(body[_HEAD.size :]), dtype=self._precision.dtype)
        return step, values.float() * scale

    def write(self, number: int, key: bytes, step: int, values: Tensor) -> None:
        """Seal values, [num_kept], as a record, in the place of what was there.

        Raises:
            RecordError: the disk refuses.
        """
        scale = float(values.abs().max()) or 1.0
        kept = (values / scale).to(self._precision.dtype).contiguous()
        body = _HEAD.pack(step, scale) + kept.view(torch.uint8).numpy().tobytes()
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, body, self._bound_to(number))
        self._put(RECORDS, sealed, number)

    def members(self) -> NDArray[np.int32]:
        """Return who was in which batch: places among the keys, [num_steps, batch_width], -1 for none."""
        shape = (self._layout.num_steps, self._layout.batch_width)
        content = os.pread(self._handles[MEMBERS], shape[0] * shape[1] * MEMBER.itemsize, 0)
        return np.frombuffer(content, dtype=MEMBER).reshape(shape)

    def write_members(self, step: int, places: NDArray[np.int64]) -> None:
        """Write who was in a batch: places among the keys, at most [batch_width].

        Raises:
            RecordError: the disk refuses.
        """
        row = np.full(self._layout.batch_width, -1, dtype=MEMBER)
        row[: len(places)] = places
        self._put(MEMBERS, row.tobytes(), step)

    def sync(self) -> None:
        """Have the disk hold what was written."""
        for handle in self._handles.values():
            os.fsync(handle)

    def close(self) -> None:
        """Let go of the files."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def _put(self, name: str, content: bytes, number: int) -> None:
        try:
            num_written = os.pwrite(self._handles[name], content, number * len(content))
        except OSError as error:
            raise RecordError(
                f"expected to write {name} beside {self._path}, the disk refuses ({error.strerror}); "
                "make room, and run the same command again"
            ) from error
        if num_written < len(content):
            raise RecordError(f"expected room for {name} beside {self._path}, the disk is full; make room")

    @property
    def _precision(self) -> Precision:
        return self._layout.recording.precision

    def _bound_to(self, number: int) -> bytes:
        return self._log_id + number.to_bytes(8, "big")
