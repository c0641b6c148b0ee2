"""The ledger in the database: entries come with their change, one sequencer orders them, tiles prove it."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import pytest
from sqlalchemy import delete, insert, select

from service.core import clock, errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import checkpoint, entries, merkle, proof, tiles
from service.core.ledger import errors as ledger_errors
from service.core.ledger import repository as ledger
from service.core.ledger.models import LedgerCheckpoint, LedgerEntry, LedgerTile
from service.core.ledger.signing import Signer

NUM_WRITERS = 3
NUM_ENTRIES = 25
"""By each writer."""
GROWTHS = [[1], [255], [256], [257], [100, 156], [256, 1], [255, 1, 1], [300, 212, 1], [1, 1, 1, 1, 1]]
"""Batches by which a log grows; their sums lie on and around the edges of a tile."""


class TestAppend:
    def test_entry_is_kept_as_hashed_and_waits_for_its_place(self, sessions: Sessions) -> None:
        request_id = uuid.uuid4()
        with transaction(sessions) as session:
            first = ledger.append(session, "request.received", {"kind": "class"}, request_id=request_id)
            ledger.append(session, "model.registered", {"model": "digits"})
            third = ledger.append(session, "request.queued", {}, request_id=request_id)

        with transaction(sessions) as session:
            told = ledger.entries_about(session, request_id)
            assert [entry.kind for entry in told] == ["request.received", "request.queued"]
            assert told[0].body == {"kind": "class"}
            assert first < third
            assert [ledger.prove(session, entry_id) for entry_id in (first, third)] == [None, None]

    def test_transaction_that_is_rolled_back_leaves_no_entry(
        self, sessions: Sessions, signer: Signer
    ) -> None:
        with pytest.raises(RuntimeError), transaction(sessions) as session:
            ledger.append(session, "model.registered", {"model": "digits"})
            raise RuntimeError

        assert sequence(sessions, signer) == 0
        assert leaves(sessions) == []

    def test_body_without_a_canonical_form_is_refused(self, sessions: Sessions) -> None:
        with pytest.raises(ledger_errors.EntryRefused), transaction(sessions) as session:
            ledger.append(session, "model.registered", {"accuracy": float("nan")})

    def test_digest_does_not_depend_on_the_order_of_keys(self) -> None:
        assert ledger.digest_of({"a": 1, "b": 2}) == ledger.digest_of({"b": 2, "a": 1})
        assert ledger.digest_of(["a", "b"]) != ledger.digest_of(["b", "a"])


class TestSequence:
    def test_empty_log_has_no_head(self, sessions: Sessions, signer: Signer) -> None:
        assert sequence(sessions, signer) == 0
        with transaction(sessions) as session:
            assert ledger.size(session) == 0
            assert ledger.newest_checkpoint(session) is None

    def test_entries_get_their_place_in_order_and_only_once(self, sessions: Sessions, signer: Signer) -> None:
        grow(sessions, 3)
        assert sequence(sessions, signer) == 3
        assert sequence(sessions, signer) == 0
        grow(sessions, 2)
        assert sequence(sessions, signer) == 2

        assert leaves(sessions) == [0, 1, 2, 3, 4]

    def test_entry_that_commits_late_gets_a_later_place(self, sessions: Sessions, signer: Signer) -> None:
        with sessions() as slow:
            late = ledger.append(slow, "test.late", {})
            grow(sessions, 2)
            assert sequence(sessions, signer) == 2
            slow.commit()
        assert sequence(sessions, signer) == 1

        with transaction(sessions) as session:
            assert session.get_one(LedgerEntry, late).leaf_index == 2

    def test_head_is_signed_by_the_ledgers_key(self, sessions: Sessions, signer: Signer) -> None:
        grow(sessions, 7)
        sequence(sessions, signer)

        head = newest(sessions, signer)
        assert (head.origin, head.size) == ("lethe.test/log", 7)
        assert head.root == merkle.tree_hash(merkle.leaf_hash(entry) for entry in stored(sessions))

    def test_second_sequencer_steps_back_while_the_first_is_at_work(
        self, sessions: Sessions, signer: Signer
    ) -> None:
        grow(sessions, 5)

        with transaction(sessions) as first:
            assert ledger.sequence(first, signer) == 5
            assert sequence(sessions, signer) == 0

        assert leaves(sessions) == [0, 1, 2, 3, 4]

    def test_sequencer_that_fails_leaves_the_log_as_it_was(self, sessions: Sessions, signer: Signer) -> None:
        grow(sessions, 5)
        with pytest.raises(RuntimeError), transaction(sessions) as session:
            ledger.sequence(session, signer)
            raise RuntimeError

        assert leaves(sessions) == [None] * 5
        assert sequence(sessions, signer) == 5

    def test_two_sequencers_and_many_writers_leave_no_gap_and_no_double(
        self, sessions: Sessions, signer: Signer
    ) -> None:
        is_over = Event()

        def write(number: int) -> None:
            for turn in range(NUM_ENTRIES):
                with transaction(sessions) as session:
                    ledger.append(session, "test.written", {"writer": number, "turn": turn})

        def order() -> int:
            total = 0
            while not is_over.is_set():
                total += sequence(sessions, signer)
            return total

        with ThreadPoolExecutor(NUM_WRITERS + 2) as pool:
            sequencers = [pool.submit(order) for _ in range(2)]
            for writer in [pool.submit(write, number) for number in range(NUM_WRITERS)]:
                writer.result(60)
            is_over.set()
            total = sum(one.result(60) for one in sequencers) + sequence(sessions, signer)

        assert total == NUM_WRITERS * NUM_ENTRIES
        assert sorted(leaf for leaf in leaves(sessions) if leaf is not None) == list(range(total))
        check_every_head(sessions, signer)


class TestTiles:
    @pytest.mark.parametrize("batches", GROWTHS, ids=str)
    def test_every_tile_is_what_the_entries_make_it_and_every_proof_holds(
        self, sessions: Sessions, signer: Signer, batches: list[int]
    ) -> None:
        for num_entries in batches:
            grow(sessions, num_entries)
            assert sequence(sessions, signer) == num_entries

        size, data = sum(batches), stored(sessions)
        hashes = [merkle.leaf_hash(entry) for entry in data]
        node = merkle.nodes_of(hashes)
        assert newest(sessions, signer).root == merkle.tree_hash(hashes)
        with transaction(sessions) as session:
            for address in tiles.all_addresses(size):
                served = ledger.tile_bytes(session, address)
                if address.level is None:
                    part = data[address.start : address.start + address.width]
                    assert tiles.parse_bundle(served) == tuple(part)
                else:
                    assert served == tiles.hash_tile(address, node)
        for index in {0, 1, 127, 254, 255, 256, 257, 511, size - 1} & set(range(size)):
            check_proof(sessions, signer, index)
        check_every_head(sessions, signer)

    def test_older_widths_of_a_growing_tile_are_still_served(
        self, sessions: Sessions, signer: Signer
    ) -> None:
        grow(sessions, 300)
        sequence(sessions, signer)
        hashes = [merkle.leaf_hash(entry) for entry in stored(sessions)]

        with transaction(sessions) as session:
            for width in (1, 17, 44):
                part = hashes[256 : 256 + width]
                assert ledger.tile_bytes(session, tiles.Address(0, 1, width)) == b"".join(part)
            assert len(tiles.parse_bundle(ledger.tile_bytes(session, tiles.Address(None, 1, 5)))) == 5

    @pytest.mark.parametrize(
        "address",
        [tiles.Address(0, 1, 45), tiles.Address(0, 2, 1), tiles.Address(2, 0, 1), tiles.Address(None, 1)],
    )
    def test_tile_that_the_log_does_not_have_is_not_found(
        self, sessions: Sessions, signer: Signer, address: tiles.Address
    ) -> None:
        grow(sessions, 300)
        sequence(sessions, signer)

        with pytest.raises(errors.NotFound), transaction(sessions) as session:
            ledger.tile_bytes(session, address)

    def test_third_level_grows_where_the_second_is_full(self, sessions: Sessions) -> None:
        hashes = [number.to_bytes(32, "big") for number in range(256 * 256 + 300)]

        with transaction(sessions) as session:
            for start, end in ((0, 65_000), (65_000, 65_536), (65_536, len(hashes))):
                ledger._grow(session, 0, start, hashes[start:end])
            root = merkle.root_of(len(hashes), ledger._nodes(session))
            levels = session.scalars(select(LedgerTile.level).distinct().order_by(LedgerTile.level)).all()

        assert levels == [0, 1, 2]
        assert root == merkle.tree_hash(hashes)

    def test_missing_tile_is_a_broken_ledger_and_no_empty_answer(
        self, sessions: Sessions, signer: Signer
    ) -> None:
        grow(sessions, 3)
        sequence(sessions, signer)
        with transaction(sessions) as session:
            session.execute(delete(LedgerTile))

        with pytest.raises(errors.IntegrityBroken), transaction(sessions) as session:
            ledger.tile_bytes(session, tiles.Address(0, 0, 3))


def grow(sessions: Sessions, num_entries: int) -> None:
    """Append entries in bulk."""
    with transaction(sessions) as session:
        start = session.scalar(select(LedgerEntry.id).order_by(LedgerEntry.id.desc()).limit(1)) or 0
        rows = [
            {"entry": entries.entry_bytes("test.grown", clock.now(), {"number": start + number})}
            for number in range(num_entries)
        ]
        session.execute(insert(LedgerEntry), rows)


def sequence(sessions: Sessions, signer: Signer) -> int:
    """Sequence what waits, as a relay does."""
    with transaction(sessions) as session:
        return ledger.sequence(session, signer)


def leaves(sessions: Sessions) -> list[int | None]:
    """The place of every entry, in the order the entries came."""
    with transaction(sessions) as session:
        return list(session.scalars(select(LedgerEntry.leaf_index).order_by(LedgerEntry.id)))


def stored(sessions: Sessions) -> list[bytes]:
    """Every sequenced entry in its place."""
    with transaction(sessions) as session:
        placed = select(LedgerEntry.entry).where(LedgerEntry.leaf_index.is_not(None))
        return list(session.scalars(placed.order_by(LedgerEntry.leaf_index)))


def newest(sessions: Sessions, signer: Signer) -> checkpoint.Checkpoint:
    """The newest head, its signature checked."""
    with transaction(sessions) as session:
        row = ledger.newest_checkpoint(session)
    assert row is not None
    head = checkpoint.verify(row.note, signer.verifier)
    assert head.size == row.size
    return head


def check_proof(sessions: Sessions, signer: Signer, index: int) -> None:
    """Prove an entry and check the proof as a stranger would: from its bytes and the public key."""
    with transaction(sessions) as session:
        row = session.scalars(select(LedgerEntry).where(LedgerEntry.leaf_index == index)).one()
        shown = ledger.prove(session, row.id)
    assert shown is not None
    parsed = proof.parse(shown.to_bytes())
    assert parsed.index == index
    proof.verify(parsed, row.entry, signer.verifier)
    with pytest.raises(ledger_errors.NotIncluded):
        proof.verify(parsed, row.entry + b" ", signer.verifier)


def check_every_head(sessions: Sessions, signer: Signer) -> None:
    """Check that each head's tree begins with the tree of the head before it."""
    with transaction(sessions) as session:
        notes = session.scalars(select(LedgerCheckpoint.note).order_by(LedgerCheckpoint.size)).all()
    heads = [checkpoint.verify(one, signer.verifier) for one in notes]
    node = merkle.nodes_of(merkle.leaf_hash(entry) for entry in stored(sessions))
    for older, newer in pairwise(heads):
        path = merkle.consistency_proof(older.size, newer.size, node)
        merkle.verify_consistency(older.size, older.root, newer.size, newer.root, path)
