"""The offline verifier: a folder of files in, findings out; no network, no trust in the operator.

The folder is a C2SP tlog-tiles log with what was issued beside it:

    checkpoint                       the signed head
    log.vkey                         the log's public key, one line
    tile/entries/...  tile/0/...     the entries, the leaf hashes, and higher levels where given
    certificates/NAME.dsse.json      certificates, optional
    proofs/NAME.tlog-proof           proofs, optional; the one of the same name belongs to the certificate

Everything is recomputed from the entries. A key that comes in the folder shows only that the folder agrees
with itself: whoever rewrites a log can sign it again. Pass the key you were given by another way.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.core.ledger import (
    certificate,
    checkpoint,
    dsse,
    entries,
    errors,
    merkle,
    note,
    proof,
    signing,
    tiles,
)

CERTIFICATE_SUFFIX = ".dsse.json"
PROOF_SUFFIX = ".tlog-proof"
COMPLETED = "request.completed"
DIGEST_FIELD = "certificate_sha256"

_MAX_BUNDLE_BYTES = tiles.TILE_WIDTH * (2 + tiles.MAX_ENTRY_BYTES)
_MAX_TILE_BYTES = tiles.TILE_WIDTH * merkle.HASH_BYTES
_MAX_NAMED = 16
"""How many missing files of a level end the search for more, and how many entries one finding names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        what: The file or the property.
        ok: Whether it holds.
        detail: What was found, in a sentence.
    """

    what: str
    ok: bool
    detail: str


def verify_bundle(
    directory: Path, *, key: str | None = None, since: bytes | None = None
) -> tuple[Finding, ...]:
    """Check everything in a folder; a fault never ends the search for others.

    Args:
        directory: The folder described above.
        key: The log's vkey, had from elsewhere. Without it the folder's own log.vkey is believed.
        since: A checkpoint kept from earlier: the log must begin with the tree that it signs.

    Returns:
        What was checked, in order. The folder is sound when all of it is ok.
    """
    folder, report = _Folder(directory), _Report()
    verifier = _check_key(folder, key, report)
    head = _check_checkpoint(folder, verifier, report)
    log = _Log({}, None, verifier, head)
    if head is not None:
        found = _check_entries(folder, head, report)
        node = _check_root(found, head, report)
        _check_leaf_tiles(folder, found, head, report)
        if node is not None:
            _check_upper_tiles(folder, node, head, report)
        log = _Log(found, node, verifier, head)
    if since is not None:
        with report.checking("since"):
            report.passed("since", f"the log begins with {_require_prefix(log, since)}")
    for name in folder.names("proofs", PROOF_SUFFIX):
        _check_proof(folder, name, log, report)
    recorded = _recorded_certificates(log.entries)
    for name in folder.names("certificates", CERTIFICATE_SUFFIX):
        _check_certificate(folder, name, log, recorded, report)
    return tuple(report.findings)


@dataclass(frozen=True, slots=True)
class _Log:
    """What the folder turned out to hold.

    Attributes:
        entries: Index -> bytes, for the entries that are there.
        node: The tree over all entries, None when some are missing.
        verifier: None when there is no usable key.
        head: None when the checkpoint cannot be read; there even when its signature does not hold.
    """

    entries: Mapping[int, bytes]
    node: merkle.NodeReader | None
    verifier: signing.Verifier | None
    head: checkpoint.Checkpoint | None

    def require_verifier(self) -> signing.Verifier:
        if self.verifier is None:
            raise errors.Unverified("not checked: there is no usable key")
        return self.verifier


def _check_key(folder: "_Folder", key: str | None, report: "_Report") -> signing.Verifier | None:
    own = given = None
    if key is None or folder.has("log.vkey"):
        with report.checking("log.vkey"):
            own = signing.Verifier.parse(folder.read("log.vkey").decode("utf-8", "replace").strip())
    if key is None:
        if own is not None:
            report.passed(
                "log.vkey", f"{own.label}, taken from the folder itself: compare it with the published key"
            )
        return own
    with report.checking("key"):
        given = signing.Verifier.parse(key.strip())
        report.passed("key", f"{given.label}, as given")
    if given is not None and own is not None and own != given:
        report.failed("log.vkey", f"{own.label} is not the key that was given, {given.label}")
    return given


def _check_checkpoint(
    folder: "_Folder", verifier: signing.Verifier | None, report: "_Report"
) -> checkpoint.Checkpoint | None:
    head = None
    with report.checking("checkpoint"):
        data = folder.read("checkpoint")
        head = checkpoint.parse(data)
        if verifier is None:
            raise errors.Unverified("its signature was not checked: there is no usable key")
        checkpoint.verify(data, verifier)
        report.passed("checkpoint", f"signed by {verifier.label}: {head.size} entries of {head.origin}")
    return head


def _check_entries(folder: "_Folder", head: checkpoint.Checkpoint, report: "_Report") -> dict[int, bytes]:
    found, num_good = dict[int, bytes](), 0
    for address in _present(folder, tiles.addresses(None, head.size), report):
        with report.checking(address.path):
            bundle = tiles.parse_bundle(folder.read(address.path, _MAX_BUNDLE_BYTES))
            found |= {address.start + place: entry for place, entry in enumerate(bundle[: address.width])}
            if len(bundle) != address.width:
                raise errors.MalformedTile(f"expected {address.width} entries, got {len(bundle)}")
            num_good += len(bundle)
    if num_good == head.size:
        report.passed("entries", f"all {head.size} are there")
    return found


def _present(
    folder: "_Folder", addresses: Iterable[tiles.Address], report: "_Report"
) -> Iterator[tiles.Address]:
    """The tiles whose file is there; a checkpoint that claims far more than there is soon ends the search."""
    num_missing = 0
    for address in addresses:
        if folder.has(address.path):
            yield address
            continue
        report.failed(address.path, "missing")
        num_missing += 1
        if num_missing == _MAX_NAMED:
            report.failed("tiles", f"{num_missing} files of one level are missing; no more were looked for")
            return


def _check_root(
    found: Mapping[int, bytes], head: checkpoint.Checkpoint, report: "_Report"
) -> merkle.NodeReader | None:
    if len(found) != head.size:
        report.failed("root", f"cannot be recomputed: {len(found)} of {head.size} entries are there")
        return None
    node = merkle.nodes_of(merkle.leaf_hash(found[index]) for index in range(head.size))
    root = merkle.root_of(head.size, node)
    if root == head.root:
        report.passed("root", f"{head.size} entries hash to the root of the checkpoint, {root.hex()}")
    else:
        report.failed("root", f"the entries hash to {root.hex()}, the checkpoint has {head.root.hex()}")
    return node


def _check_leaf_tiles(
    folder: "_Folder", found: Mapping[int, bytes], head: checkpoint.Checkpoint, report: "_Report"
) -> None:
    """Compare the stored leaf hashes with the entries: they tell which entries were changed."""
    num_good = 0
    for address in _present(folder, tiles.addresses(0, head.size), report):
        with report.checking(address.path):
            data = folder.read(address.path, _MAX_TILE_BYTES)
            _require_leaves(address, tiles.parse_hashes(data, address.width), found)
            num_good += address.width
    if num_good == head.size:
        report.passed("leaf hashes", f"all {head.size} agree with the entries")


def _check_upper_tiles(
    folder: "_Folder", node: merkle.NodeReader, head: checkpoint.Checkpoint, report: "_Report"
) -> None:
    """Compare the hash tiles above the leaves, where the folder has them, with the entries."""
    for address in tiles.upper_addresses(head.size):
        if folder.has(address.path):
            with report.checking(address.path):
                if folder.read(address.path, _MAX_TILE_BYTES) != tiles.hash_tile(address, node):
                    raise errors.Unverified("it is not made of the hashes of the level below")
                report.passed(address.path, "agrees with the entries")


def _require_leaves(address: tiles.Address, leaves: Sequence[bytes], found: Mapping[int, bytes]) -> None:
    """Refuse a leaf tile whose hashes are not those of the entries, naming the entries."""
    ours = {index: merkle.leaf_hash(found[index]) for index in _span(address) if index in found}
    wrong = [index for index, leaf in ours.items() if leaf != leaves[index - address.start]]
    if not wrong:
        return
    named = ", ".join(str(index) for index in wrong[:_MAX_NAMED])
    if len(ours) == address.width and sorted(ours.values()) == sorted(leaves):
        raise errors.Unverified(f"the entries stand in another order than their leaf hashes, first {named}")
    raise errors.Unverified(f"{len(wrong)} entries do not hash to their leaf, first {named}")


def _span(address: tiles.Address) -> range:
    return range(address.start, address.start + address.width)


def _require_prefix(log: _Log, signed_checkpoint: bytes) -> str:
    """Refuse a checkpoint of the log's key whose tree this log does not begin with; say what it is."""
    early = checkpoint.verify(signed_checkpoint, log.require_verifier())
    if log.node is None or log.head is None:
        raise errors.NotConsistent("not checked: the log's entries are not all there")
    if early.size > log.head.size:
        raise errors.NotConsistent(
            f"it signs {early.size} entries, this log has {log.head.size}: it was cut, or the folder is old"
        )
    if merkle.root_of(early.size, log.node) != early.root:
        raise errors.NotConsistent(
            f"it signs another history: the log's first {early.size} entries are not its own"
        )
    return f"the {early.size} entries of that checkpoint"


def _check_proof(folder: "_Folder", name: str, log: _Log, report: "_Report") -> None:
    what = f"proofs/{name}{PROOF_SUFFIX}"
    with report.checking(what):
        found = proof.parse(folder.read(what))
        entry = log.entries.get(found.index)
        if entry is None:
            raise errors.NotIncluded(f"it names entry {found.index}, which is not in the folder")
        proof.verify(found, entry, log.require_verifier())
        prefix = _require_prefix(log, found.checkpoint)
        report.passed(what, f"entry {found.index} stands among {prefix}")


def _check_certificate(
    folder: "_Folder", name: str, log: _Log, recorded: Mapping[str, set[int]], report: "_Report"
) -> None:
    what, proof_name = f"certificates/{name}{CERTIFICATE_SUFFIX}", f"proofs/{name}{PROOF_SUFFIX}"
    with report.checking(what):
        data = folder.read(what, dsse.MAX_ENVELOPE_BYTES)
        claim = certificate.verify(data, log.require_verifier())
        indices = recorded.get(hashlib.sha256(data).hexdigest())
        if not indices:
            raise errors.NotIncluded(f"no entry {COMPLETED} of the log carries its digest")
        if folder.has(proof_name):
            index = proof.parse(folder.read(proof_name)).index
            if index not in indices:
                raise errors.NotIncluded(f"its proof names entry {index}, which does not carry its digest")
        report.passed(what, f"signed, recorded by entry {min(indices)}: {claim.statement}")


def _recorded_certificates(found: Mapping[int, bytes]) -> dict[str, set[int]]:
    """Digest of a certificate -> the entries that record it."""
    recorded: dict[str, set[int]] = {}
    for index, data in found.items():
        if COMPLETED.encode() not in data:  # most entries: not worth parsing
            continue
        try:
            entry = entries.parse(data)
        except errors.MalformedEntry:
            continue
        digest = entry.body.get(DIGEST_FIELD)
        if entry.kind == COMPLETED and isinstance(digest, str):
            recorded.setdefault(digest, set()).add(index)
    return recorded


class _Folder:
    """The files of a folder that is not trusted: every read is bounded."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def has(self, name: str) -> bool:
        return (self._directory / name).is_file()

    def read(self, name: str, limit: int = note.MAX_NOTE_BYTES) -> bytes:
        if not self.has(name):
            raise errors.Malformed("missing")
        with (self._directory / name).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise errors.Malformed(f"expected at most {limit} bytes, got more")
        return data

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names of a sub-folder's files with this suffix, without it, in order."""
        return sorted(
            path.name.removesuffix(suffix) for path in (self._directory / folder).glob(f"*{suffix}")
        )


class _Report:
    """Findings, in the order they are made."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def passed(self, what: str, detail: str) -> None:
        self.findings.append(Finding(what, True, detail))

    def failed(self, what: str, detail: str) -> None:
        self.findings.append(Finding(what, False, detail))

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into a finding and go on after the block."""
        try:
            yield
        except errors.LedgerError as error:
            self.failed(what, str(error))
        except OSError as error:
            self.failed(what, f"cannot be read: {error.strerror}")
