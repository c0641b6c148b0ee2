"""The offline verifier against an honest folder, and against every way of bending it."""

import hashlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lethe import verify
from service.core.ledger import (
    certificate,
    checkpoint,
    claims,
    entries,
    merkle,
    proof,
    pseudonyms,
    signing,
    tiles,
)

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden" / "ledger" / "bundle_v1"
ORIGIN = "lethe.example/log"
SIGNER = signing.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = signing.Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
START = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
SIZE = 300
COMPLETED_AT = {"first": 17, "second": 270}
"""Name of a certificate -> the entry that records it."""


def certificate_bytes(name, signer=SIGNER):
    request = pseudonyms.Pseudonymiser(bytes(range(32))).request(name)
    method = claims.Method("ssd", "1.0.0", {"alpha": 8.5}, 7, claims.Guarantee.APPROXIMATE, ("One caveat.",))
    check = claims.Check("membership_auc", 0.512, 0.47, 0.55, 0.6, True, "540 samples")
    return certificate.sign(
        claims.Claim(
            request=request,
            model="digits",
            base_version=1,
            version=2,
            target=claims.Target("samples", 3),
            method=method,
            audit=claims.Audit("suite-1", "pass", (check,)),
            received_at=START,
            completed_at=START + timedelta(minutes=2),
            files=(claims.File("model.safetensors", hashlib.sha256(name.encode()).hexdigest()),),
        ),
        signer,
    )


def log_entries(size=SIZE, signer=SIGNER):
    made = [
        entries.entry_bytes("request.received", START + timedelta(seconds=i), {"place": i})
        for i in range(size)
    ]
    for name, index in COMPLETED_AT.items():
        digest = hashlib.sha256(certificate_bytes(name, signer)).hexdigest()
        body = {"certificate_sha256": digest}
        made[index] = entries.entry_bytes("request.completed", START + timedelta(seconds=index), body)
    return made


def signed_head(log, signer=SIGNER):
    root = merkle.tree_hash(map(merkle.leaf_hash, log))
    return checkpoint.sign(checkpoint.Checkpoint(ORIGIN, len(log), root), signer)


def write_log(folder, log, signer=SIGNER):
    """The files of an honest log: head, key, entries and hashes."""
    node = merkle.nodes_of(map(merkle.leaf_hash, log))
    for address in tiles.all_addresses(len(log)):
        span = log[address.start : address.start + address.width]
        data = tiles.bundle(span) if address.level is None else tiles.hash_tile(address, node)
        write(folder / address.path, data)
    write(folder / "checkpoint", signed_head(log, signer))
    write(folder / "log.vkey", signer.verifier.vkey.encode() + b"\n")


def write_evidence(folder, log, signer=SIGNER):
    """The certificates and their proofs."""
    node, head = merkle.nodes_of(map(merkle.leaf_hash, log)), signed_head(log, signer)
    for name, index in COMPLETED_AT.items():
        write(folder / "certificates" / f"{name}.dsse.json", certificate_bytes(name, signer))
        write(folder / "proofs" / f"{name}.tlog-proof", proof.prove(index, head, node).to_bytes())


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def folder(tmp_path):
    write_log(tmp_path, log_entries())
    write_evidence(tmp_path, log_entries())
    return tmp_path


def faults(folder, **options):
    """What -> detail of everything that does not hold."""
    return {
        finding.what: finding.detail for finding in verify.verify_bundle(folder, **options) if not finding.ok
    }


def edit_bundle(folder, path, change):
    found = list(tiles.parse_bundle((folder / path).read_bytes()))
    change(found)
    write(folder / path, tiles.bundle(found))


def test_honest_folder_holds_and_says_what_was_checked(folder):
    found = verify.verify_bundle(folder)

    assert all(finding.ok for finding in found), found
    assert [finding.what for finding in found] == [
        "log.vkey",
        "checkpoint",
        "entries",
        "root",
        "leaf hashes",
        "tile/1/000.p/1",
        "proofs/first.tlog-proof",
        "proofs/second.tlog-proof",
        "certificates/first.dsse.json",
        "certificates/second.dsse.json",
    ]
    assert "audited, not proven erased" in found[-1].detail


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257])
def test_honest_log_of_any_size_holds(tmp_path, size):
    write_log(tmp_path, log_entries()[:size])

    assert faults(tmp_path) == {}


def test_edited_entry_is_named(folder):
    edit_bundle(folder, "tile/entries/000", lambda found: found.__setitem__(5, found[5].replace(b"5", b"6")))

    assert faults(folder).keys() == {
        "root",
        "tile/0/000",
        "tile/1/000.p/1",
        "proofs/first.tlog-proof",
        "proofs/second.tlog-proof",
    }
    assert faults(folder)["tile/0/000"] == "1 entries do not hash to their leaf, first 5"


def test_entry_edited_together_with_its_hashes_breaks_the_root(folder):
    log = log_entries()
    log[5] = log[6]
    head = (folder / "checkpoint").read_bytes()
    write_log(folder, log)
    write(folder / "checkpoint", head)

    assert faults(folder).keys() == {"root", "proofs/first.tlog-proof", "proofs/second.tlog-proof"}


def test_log_rewritten_and_signed_again_contradicts_earlier_proofs(folder):
    log = log_entries()
    log[5] = log[6]
    write_log(folder, log)

    found = faults(folder)

    assert found.keys() == {"proofs/first.tlog-proof", "proofs/second.tlog-proof"}
    assert "another history" in found["proofs/first.tlog-proof"]


def test_dropped_entry_is_noticed(folder):
    edit_bundle(folder, "tile/entries/000", lambda found: found.pop(5))

    found = faults(folder)

    assert found["tile/entries/000"] == "expected 256 entries, got 255"
    assert found["root"] == "cannot be recomputed: 299 of 300 entries are there"
    assert "first 5, 6" in found["tile/0/000"]


def test_added_entry_is_noticed(folder):
    edit_bundle(folder, "tile/entries/001.p/44", lambda found: found.append(b"more"))

    assert faults(folder) == {"tile/entries/001.p/44": "expected 44 entries, got 45"}


def test_reordered_entries_are_named_as_such(folder):
    def swap(found):
        found[3], found[4] = found[4], found[3]

    edit_bundle(folder, "tile/entries/000", swap)

    found = faults(folder)

    assert "another order" in found["tile/0/000"]
    assert "first 3, 4" in found["tile/0/000"]
    assert "root" in found


def test_missing_bundle_is_named_and_the_rest_still_checked(folder):
    (folder / "tile/entries/000").unlink()

    found = faults(folder)

    assert found["tile/entries/000"] == "missing"
    assert "44 of 300" in found["root"]
    assert "entry 17" in found["proofs/first.tlog-proof"]
    assert "certificates/second.dsse.json" not in found


def test_bundle_cut_short_is_noticed(folder):
    path = folder / "tile/entries/001.p/44"
    path.write_bytes(path.read_bytes()[:-1])

    assert "whole" in faults(folder)["tile/entries/001.p/44"]


def test_damaged_hash_tile_is_named(folder):
    for name in ("tile/0/001.p/44", "tile/1/000.p/1"):
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        write(folder / name, bytes(data))

    assert faults(folder) == {
        "tile/0/001.p/44": "1 entries do not hash to their leaf, first 299",
        "tile/1/000.p/1": "it is not made of the hashes of the level below",
    }


def test_missing_leaf_tile_is_noticed_and_a_missing_upper_one_allowed(folder):
    (folder / "tile/0/000").unlink()
    (folder / "tile/1/000.p/1").unlink()

    assert faults(folder) == {"tile/0/000": "missing"}


def test_cut_log_signed_again_is_caught_by_an_earlier_checkpoint(folder, tmp_path_factory):
    cut = tmp_path_factory.mktemp("cut")
    write_log(cut, log_entries()[:290])

    assert faults(cut) == {}
    assert "it was cut" in faults(cut, since=(folder / "checkpoint").read_bytes())["since"]


def test_grown_log_begins_with_an_earlier_checkpoint(folder):
    early = signed_head(log_entries()[:100])

    assert faults(folder, since=early) == {}


def test_rewritten_log_does_not_begin_with_an_earlier_checkpoint(folder):
    log = log_entries()[:100]
    log[5] = log[6]

    assert "another history" in faults(folder, since=signed_head(log))["since"]


def test_earlier_checkpoint_by_another_key_shows_nothing(folder):
    assert "since" in faults(folder, since=signed_head(log_entries()[:100], OTHER))


def test_folder_signed_by_another_key_is_caught_by_the_published_one(folder):
    write_log(folder, log_entries(signer=OTHER), OTHER)
    write_evidence(folder, log_entries(signer=OTHER), OTHER)

    assert faults(folder) == {}
    assert faults(folder, key=SIGNER.verifier.vkey).keys() == {
        "log.vkey",
        "checkpoint",
        "proofs/first.tlog-proof",
        "proofs/second.tlog-proof",
        "certificates/first.dsse.json",
        "certificates/second.dsse.json",
    }


def test_another_key_in_the_folder_fits_nothing(folder):
    write(folder / "log.vkey", OTHER.verifier.vkey.encode())

    assert {"checkpoint", "proofs/first.tlog-proof", "certificates/first.dsse.json"} <= faults(folder).keys()


def test_published_key_is_enough(folder):
    (folder / "log.vkey").unlink()

    assert faults(folder, key=SIGNER.verifier.vkey) == {}
    assert verify.verify_bundle(folder, key=SIGNER.verifier.vkey)[0].what == "key"


def test_given_key_that_is_none_does_not_fall_back_to_the_folders_own(folder):
    assert {"key", "checkpoint", "certificates/first.dsse.json"} <= faults(folder, key="nonsense").keys()


@pytest.mark.parametrize("vkey", [b"", b"lethe.example/log+00000000+AAAA", b"\xff"])
def test_without_a_usable_key_nothing_counts_as_signed(folder, vkey):
    write(folder / "log.vkey", vkey)

    found = faults(folder)

    assert {"log.vkey", "checkpoint", "proofs/first.tlog-proof", "certificates/first.dsse.json"} == (
        found.keys() - {"proofs/second.tlog-proof", "certificates/second.dsse.json"}
    )


def test_changed_checkpoint_is_noticed_and_the_rest_still_checked(folder):
    data = (folder / "checkpoint").read_bytes()
    write(folder / "checkpoint", data.replace(b"\n300\n", b"\n299\n"))

    assert {"checkpoint", "root"} <= faults(folder).keys()


def test_checkpoint_that_claims_far_more_than_there_is_ends_soon(folder):
    data = (folder / "checkpoint").read_bytes()
    write(folder / "checkpoint", data.replace(b"\n300\n", b"\n9000000000000000000\n"))

    assert {"checkpoint", "tiles", "root"} <= faults(folder).keys()


@pytest.mark.parametrize("data", [b"", b"nonsense", None])
def test_unreadable_checkpoint_is_named_and_certificates_still_read(folder, data):
    (folder / "checkpoint").unlink()
    if data is not None:
        write(folder / "checkpoint", data)

    found = faults(folder)

    assert {"checkpoint", "certificates/first.dsse.json"} <= found.keys()
    assert "no entry request.completed" in found["certificates/first.dsse.json"]


def test_edited_certificate_is_named(folder):
    path = folder / "certificates/first.dsse.json"
    path.write_bytes(path.read_bytes().replace(b'"keyid":"lethe', b'"keyid":"Lethe'))

    assert faults(folder) == {
        "certificates/first.dsse.json": "no entry request.completed of the log carries its digest"
    }


def test_certificate_with_another_payload_is_named(folder):
    path = folder / "certificates/first.dsse.json"
    path.write_bytes(path.read_bytes().replace(b'"payload":"eyJ', b'"payload":"eyI'))

    assert "signature" in faults(folder)["certificates/first.dsse.json"]


def test_certificate_the_log_never_recorded_is_refused_although_signed(folder):
    write(folder / "certificates/third.dsse.json", certificate_bytes("third"))

    assert faults(folder).keys() == {"certificates/third.dsse.json"}


def test_certificate_under_anothers_digest_kind_is_refused(tmp_path):
    digest = hashlib.sha256(certificate_bytes("first")).hexdigest()
    log = [
        entries.entry_bytes("request.failed", START, {"certificate_sha256": digest, "x": "request.completed"})
    ]
    write_log(tmp_path, log)
    write(tmp_path / "certificates/first.dsse.json", certificate_bytes("first"))

    assert faults(tmp_path).keys() == {"certificates/first.dsse.json"}


def test_entry_with_a_digest_of_another_type_records_nothing(tmp_path):
    write_log(tmp_path, [entries.entry_bytes("request.completed", START, {"certificate_sha256": ["ab"]})])
    write(tmp_path / "certificates/first.dsse.json", certificate_bytes("first"))

    assert faults(tmp_path).keys() == {"certificates/first.dsse.json"}


def test_certificate_without_a_proof_is_found_in_the_log(folder):
    shutil.rmtree(folder / "proofs")

    assert faults(folder) == {}


def test_swapped_proofs_are_named(folder):
    first, second = folder / "proofs/first.tlog-proof", folder / "proofs/second.tlog-proof"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)

    assert faults(folder) == {
        "certificates/first.dsse.json": "its proof names entry 270, which does not carry its digest",
        "certificates/second.dsse.json": "its proof names entry 17, which does not carry its digest",
    }


def test_damaged_proof_is_named(folder):
    path = folder / "proofs/first.tlog-proof"
    path.write_bytes(path.read_bytes().replace(b"index 17", b"index 18"))

    assert faults(folder).keys() == {"proofs/first.tlog-proof", "certificates/first.dsse.json"}


def test_proof_from_an_earlier_tree_still_holds(folder):
    log = log_entries()[:100]
    early = proof.prove(17, signed_head(log), merkle.nodes_of(map(merkle.leaf_hash, log)))
    write(folder / "proofs/first.tlog-proof", early.to_bytes())

    assert faults(folder) == {}


def test_oversized_file_is_not_read(folder):
    write(folder / "proofs/first.tlog-proof", bytes(2_000_000))

    assert "at most" in faults(folder)["proofs/first.tlog-proof"]


def test_file_that_cannot_be_read_is_a_finding_like_any_other(folder):
    path = folder / "proofs/first.tlog-proof"
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a file by all appearances whose reading fails

    assert "cannot be read" in faults(folder)["proofs/first.tlog-proof"]


def test_folder_in_place_of_a_file_is_missing(folder):
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()

    assert faults(folder)["checkpoint"] == "missing"


def test_nothing_at_all_is_reported_not_raised(tmp_path):
    assert faults(tmp_path / "nowhere").keys() == {"log.vkey", "checkpoint"}


def test_bundle_of_the_first_format_still_verifies_and_is_still_written_so(tmp_path):
    write_log(tmp_path, log_entries())
    write_evidence(tmp_path, log_entries())
    if os.environ.get("LETHE_UPDATE_GOLDEN") == "1":
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(tmp_path, GOLDEN)

    assert faults(GOLDEN, key=SIGNER.verifier.vkey) == {}
    assert files_of(tmp_path) == files_of(GOLDEN)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
