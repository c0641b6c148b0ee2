"""Lineage: manifests go in once, samples are found by pseudonym, and the forgotten stay barred."""

import time
import uuid
from collections.abc import Iterator
from itertools import chain

import pytest
from sqlalchemy import Engine, func, select, text

from service.core import errors
from service.core.db.engine import open_engine
from service.core.db.session import Sessions, open_sessions, transaction
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.lineage import repository as lineage
from service.core.lineage.models import Sample, Split
from service.core.registry import service as registry
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import NUM_CLASSES, MakeReady, ReadyModel, registration

MANY = 200_000
ROW: lineage.SampleRow = (0, b"\x01" * 32, None, 3, Split.TRAIN)


@pytest.fixture
def dataset_id(sessions: Sessions) -> uuid.UUID:
    """A dataset that is registered and not ingested yet."""
    with transaction(sessions) as session:
        return registry.register(session, registration("fresh")).dataset_id


class TestIngest:
    def test_manifest_of_many_rows_goes_in_at_once(self, fresh_database_url: str) -> None:
        engine = open_engine(fresh_database_url)
        sessions = open_sessions(engine)
        rows = (
            (position, position.to_bytes(32, "big"), (position % 997).to_bytes(32, "big"), position % 10, 0)
            for position in range(MANY)
        )

        with transaction(sessions) as session:
            dataset_id = registry.register(session, registration("fresh")).dataset_id
            assert lineage.ingest(session, dataset_id, "a" * 64, rows) == MANY

        with transaction(sessions) as session:
            assert session.scalar(select(func.count()).select_from(Sample)) == MANY
            asked = [(dataset_id, number.to_bytes(32, "big")) for number in (MANY - 1, MANY, 0)]
            assert lineage.positions_of(session, asked) == [MANY - 1, None, 0]
            [found] = lineage.positions_of_subjects(session, [(dataset_id, (5).to_bytes(32, "big"))])
            assert len(found) == 201
            assert lineage.class_counts(session, dataset_id) == dict.fromkeys(range(10), MANY // 10)
        engine.dispose()

    def test_same_manifest_again_is_left_as_it_is(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            num_rows = lineage.ingest(session, digits.dataset_id, "1" * 64, unreadable())

        assert num_rows == len(digits.rows)

    def test_other_manifest_is_refused(self, sessions: Sessions, digits: ReadyModel) -> None:
        with (
            pytest.raises(ValueError, match="Register it under a new name"),
            transaction(sessions) as session,
        ):
            lineage.ingest(session, digits.dataset_id, "2" * 64, unreadable())

    def test_manifest_that_breaks_off_leaves_no_row(self, sessions: Sessions, dataset_id: uuid.UUID) -> None:
        with pytest.raises(OSError, match="unreadable"), transaction(sessions) as session:
            lineage.ingest(session, dataset_id, "a" * 64, chain([ROW], unreadable()))

        with transaction(sessions) as session:
            assert session.scalar(select(func.count()).select_from(Sample)) == 0
            assert lineage.ingest(session, dataset_id, "b" * 64, [ROW]) == 1

    def test_database_that_goes_away_meanwhile_is_unavailable(
        self, sessions: Sessions, server_admin: Engine, dataset_id: uuid.UUID
    ) -> None:
        def rows(backend: int) -> Iterator[lineage.SampleRow]:
            with server_admin.connect() as admin:
                admin.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
            for position in range(10_000):
                yield position, position.to_bytes(32, "big"), None, 0, Split.TRAIN

        with pytest.raises(errors.Unavailable), transaction(sessions) as session:
            backend = session.scalar(text("SELECT pg_backend_pid()")) or 0
            lineage.ingest(session, dataset_id, "a" * 64, rows(backend))

        with transaction(sessions) as session:
            assert lineage.ingest(session, dataset_id, "b" * 64, [ROW]) == 1

    def test_database_that_takes_too_long_is_unavailable(
        self, sessions: Sessions, dataset_id: uuid.UUID
    ) -> None:
        def rows() -> Iterator[lineage.SampleRow]:
            yield ROW
            time.sleep(0.2)

        with pytest.raises(errors.Unavailable), transaction(sessions) as session:
            session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            lineage.ingest(session, dataset_id, "a" * 64, rows())

    def test_dataset_of_a_name_is_found_or_none(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            found = lineage.dataset_named(session, "digits")
            assert found is not None
            assert (found.id, found.num_samples) == (digits.dataset_id, len(digits.rows))
            assert lineage.dataset_named(session, "letters") is None


class TestFind:
    def test_positions_come_in_the_order_asked_and_none_where_unknown(
        self, sessions: Sessions, digits: ReadyModel, pseudonymiser: Pseudonymiser
    ) -> None:
        ids = [*digits.sample_ids(9, 0), "nobody", *digits.sample_ids(9)]
        names = pseudonymiser.samples("digits", ids)
        asked = [(digits.dataset_id, bytes.fromhex(one)) for one in names]

        with transaction(sessions) as session:
            assert lineage.positions_of(session, asked) == [9, 0, None, 9]
            assert lineage.positions_of(session, []) == []

    def test_position_leads_back_to_a_pseudonym_and_no_further(
        self, sessions: Sessions, digits: ReadyModel, pseudonymiser: Pseudonymiser
    ) -> None:
        with transaction(sessions) as session:
            found = lineage.pseudonym_at(session, digits.dataset_id, 9)
            assert lineage.pseudonym_at(session, digits.dataset_id, 10_000) is None
        assert found == bytes.fromhex(pseudonymiser.sample("digits", digits.sample_ids(9)[0]))

    def test_classes_count_their_training_samples_only(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            counts = lineage.class_counts(session, digits.dataset_id)
        assert counts == {label: len(digits.trained_on(label)) for label in range(NUM_CLASSES)}


class TestBury:
    def test_tombstone_stays_with_the_run_that_set_it(self, sessions: Sessions, digits: ReadyModel) -> None:
        first, second = uuid.uuid4(), uuid.uuid4()
        with transaction(sessions) as session:
            lineage.bury_positions(session, digits.id, digits.dataset_id, first, [1, 2])
            lineage.bury_positions(session, digits.id, digits.dataset_id, second, [2, 3])
            lineage.bury_classes(session, digits.id, digits.dataset_id, first, [0])
            lineage.bury_classes(session, digits.id, digits.dataset_id, second, [0, 1])

        with transaction(sessions) as session:
            by_position = lineage.runs_that_forgot(session, digits.id, [1, 2, 3, 30])
            assert by_position == {1: first, 2: first, 3: second}
            assert lineage.forgotten_classes(session, digits.id) == {0: first, 1: second}
            forgotten = lineage.forgotten_positions(session, digits.id)
        assert forgotten == sorted({1, 2, 3, *digits.trained_on(0), *digits.trained_on(1)})

    def test_unknown_positions_are_not_buried(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            lineage.bury_positions(session, digits.id, digits.dataset_id, uuid.uuid4(), [1, 99_999])
            assert lineage.forgotten_positions(session, digits.id) == [1]


class TestReadmission:
    def test_sample_that_one_model_was_asked_to_forget_is_barred_from_another(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        twin = make_ready("twin")
        kernel.ask_samples(digits, 1, 5)
        kernel.serve(digits)

        with transaction(sessions) as session:
            assert lineage.buried_elsewhere(session, twin.dataset_id, twin.id) == [1, 5]
            assert lineage.buried_elsewhere(session, digits.dataset_id, digits.id) == []

    def test_class_that_one_model_gave_up_bars_nobody_else(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        twin = make_ready("twin")
        kernel.ask_classes(digits, 2)
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        with transaction(sessions) as session:
            assert lineage.buried_elsewhere(session, twin.dataset_id, twin.id) == [1]

    def test_other_dataset_is_other_data(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        letters = make_ready("letters", "letters")
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        with transaction(sessions) as session:
            assert lineage.buried_elsewhere(session, letters.dataset_id, letters.id) == []


def unreadable() -> Iterator[lineage.SampleRow]:
    """Rows that must not be asked for."""
    raise OSError("unreadable")
    yield ROW
