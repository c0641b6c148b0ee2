"""The registry: names are taken once, a withdrawn version never comes back, the floor never falls."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import func, select

from service.core import errors
from service.core.db.session import Sessions, transaction
from service.core.ledger import entries
from service.core.ledger.models import LedgerEntry
from service.core.lineage.models import Dataset
from service.core.queue import leases
from service.core.queue.models import Job, JobKind, JobState
from service.core.registry import repository, service
from service.core.registry.models import Model, ModelState, VersionState
from service.core.registry.service import NamedFile, Registration
from service.core.storage.base import Stored
from tests.fixtures.forgetting import Kernel
from tests.fixtures.registry import MakeReady, ReadyModel, fake_digest, files_of_version, registration

UPLOAD = Stored(fake_digest("upload"), 4096)
OTHER_UPLOAD = Stored(fake_digest("other upload"), 4096)


class TestRegister:
    def test_registration_is_kept_as_given_and_told_to_the_ledger(self, sessions: Sessions) -> None:
        model = register(sessions, registration("digits"))

        assert (model.state, model.served_version, model.revocation_floor) == ("registered", None, 0)
        assert (model.factory, model.arguments) == (registration("digits").factory, {"num_classes": 4})
        assert model.training == {"epochs": 3}
        assert model.policy["samples_ladder"] == ["retrain", "ssd"]
        assert told(sessions, "model.registered") == [{"model": "digits", "factory": model.factory}]

    def test_models_name_is_taken_once(self, sessions: Sessions) -> None:
        register(sessions, registration("digits"))

        with pytest.raises(errors.Conflict) as refusal:
            register(sessions, registration("digits", dataset_name="other"))

        assert refusal.value.code == "model_name_taken"
        with transaction(sessions) as session:
            assert session.scalar(select(func.count()).select_from(Dataset)) == 1

    def test_dataset_is_shared_by_the_models_that_name_it(self, sessions: Sessions) -> None:
        first = register(sessions, registration("one", dataset_name="shared"))
        second = register(sessions, registration("two", dataset_name="shared"))

        assert first.dataset_id == second.dataset_id

    def test_datasets_name_stands_for_one_description(self, sessions: Sessions) -> None:
        register(sessions, registration("one", dataset_name="shared"))
        other = replace(
            registration("two", dataset_name="shared"), dataset={"source": "arrays", "path": "/elsewhere"}
        )

        with pytest.raises(errors.Conflict) as refusal:
            register(sessions, other)

        assert refusal.value.code == "dataset_name_taken"

    def test_of_racing_registrations_of_one_name_one_wins(self, sessions: Sessions) -> None:
        barrier = Barrier(4)

        def race(_: int) -> str:
            barrier.wait()
            try:
                register(sessions, registration("digits"))
            except errors.Conflict as error:
                return error.code
            return "registered"

        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(race, range(4)))

        assert answers == ["model_name_taken"] * 3 + ["registered"]


class TestAcceptWeights:
    def test_upload_is_noted_and_a_worker_is_asked_to_prepare_it(self, sessions: Sessions) -> None:
        register(sessions, registration("digits"))

        model = accept(sessions, "digits", UPLOAD)

        assert (model.state, model.upload_sha256) == (ModelState.PREPARING, UPLOAD.sha256)
        assert jobs_of(sessions, model) == [(JobKind.PREPARE, JobState.READY)]

    def test_same_upload_twice_is_prepared_once(self, sessions: Sessions) -> None:
        register(sessions, registration("digits"))
        model = accept(sessions, "digits", UPLOAD)
        with transaction(sessions) as session:
            job_id = session.scalars(select(Job.id)).one()
        with transaction(sessions) as session:
            assert leases.claim(session, job_id, "worker", 30) is not None

        accept(sessions, "digits", UPLOAD)

        assert jobs_of(sessions, model) == [(JobKind.PREPARE, JobState.RUNNING)]

    def test_other_upload_replaces_the_one_that_waits(self, sessions: Sessions) -> None:
        register(sessions, registration("digits"))
        accept(sessions, "digits", UPLOAD)

        model = accept(sessions, "digits", OTHER_UPLOAD)

        assert model.upload_sha256 == OTHER_UPLOAD.sha256
        assert jobs_of(sessions, model) == [(JobKind.PREPARE, JobState.READY)]

    def test_refused_upload_may_be_sent_again(self, sessions: Sessions) -> None:
        register(sessions, registration("digits"))
        model = accept(sessions, "digits", UPLOAD)
        with transaction(sessions) as session:
            service.refuse_upload(session, session.get_one(Model, model.id), "The weights hold NaN." * 60)

        with transaction(sessions) as session:
            refused = repository.model_named(session, "digits")
            assert (refused.state, len(refused.reason or "")) == (ModelState.FAILED, 500)
        assert accept(sessions, "digits", UPLOAD).state == ModelState.PREPARING

    def test_model_that_serves_a_version_takes_no_weights(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        with pytest.raises(errors.Conflict) as refusal:
            accept(sessions, "digits", UPLOAD)

        assert refusal.value.code == "model_has_versions"

    def test_model_that_serves_a_version_cannot_fail(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            service.refuse_upload(session, session.get_one(Model, digits.id), "late news")

        with transaction(sessions) as session:
            assert repository.model_named(session, "digits").state == ModelState.READY

    def test_unknown_model_is_not_found(self, sessions: Sessions) -> None:
        with pytest.raises(errors.NotFound):
            accept(sessions, "nothing", UPLOAD)


class TestPublish:
    def test_first_version_makes_a_model_ready(self, sessions: Sessions, digits: ReadyModel) -> None:
        with transaction(sessions) as session:
            model = repository.model_named(session, "digits")
            assert (model.state, model.served_version, model.revocation_floor) == (ModelState.READY, 1, 1)
            version = service.servable(session, "digits", 1)
            assert version.facts == {"accuracy": 0.97}
            assert [file.name for file in repository.files_of(session, version.id, public=True)] == [
                "model.safetensors"
            ]
            assert [file.name for file in repository.files_of(session, version.id, public=False)] == [
                "prepared/codes.safetensors"
            ]
            assert len(repository.files_of(session, version.id)) == 2

    def test_withdrawn_version_is_gone_and_names_its_successor(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        with transaction(sessions) as session:
            with pytest.raises(errors.Gone) as gone:
                service.servable(session, "digits", 1)
            assert service.servable(session, "digits", 2).number == 2
            with pytest.raises(errors.NotFound):
                service.servable(session, "digits", 3)
        assert gone.value.details == ({"successor": 2, "revocation_floor": 2},)
        assert (JobKind.PURGE, JobState.READY) in jobs_of(sessions, digits)

    def test_a_renewed_preparation_replaces_private_files_alone_and_has_the_old_ones_purged(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        fresh = NamedFile("prepared/class_fisher/0.safetensors", Stored(fake_digest("fresh"), 7), False)
        with transaction(sessions) as session:
            model = repository.model_named(session, "digits")
            version = repository.version_numbered(session, model.id, 1)
            public = [file.sha256 for file in repository.files_of(session, version.id, public=True)]

            service.renew_preparation(session, model, version, [fresh])

        with transaction(sessions) as session:
            version = service.servable(session, "digits", 1)
            private = repository.files_of(session, version.id, public=False)
            assert [(file.name, file.sha256) for file in private] == [(fresh.name, fresh.stored.sha256)]
            assert [f.sha256 for f in repository.files_of(session, version.id, public=True)] == public
        assert (JobKind.PURGE, JobState.READY) in jobs_of(sessions, digits)

    def test_the_preparation_of_a_version_that_is_no_longer_served_is_refused(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        with transaction(sessions) as session:
            model = repository.model_named(session, "digits")
            version = repository.version_numbered(session, model.id, 1)
            with pytest.raises(errors.Conflict):
                service.renew_preparation(session, model, version, [])

    def test_floor_rises_with_every_version_and_never_falls(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        floors = []
        for position in range(3):
            kernel.ask_samples(digits, position)
            kernel.serve(digits)
            with pytest.raises(errors.Conflict):
                publish(sessions, digits, base_number=1)
            with pytest.raises(errors.Conflict):
                publish(sessions, digits, base_number=None)
            with transaction(sessions) as session:
                model = repository.model_named(session, "digits")
                assert model.served_version == model.revocation_floor
                floors.append(model.revocation_floor)

        assert floors == [2, 3, 4]

    def test_of_two_publications_on_one_base_the_second_fails(
        self, sessions: Sessions, digits: ReadyModel
    ) -> None:
        barrier = Barrier(2)

        def race(_: int) -> str:
            barrier.wait()
            try:
                publish(sessions, digits, base_number=1)
            except errors.Conflict as error:
                return error.code
            return "published"

        with ThreadPoolExecutor(2) as pool:
            answers = sorted(pool.map(race, range(2)))

        assert answers == ["base_moved", "published"]
        with transaction(sessions) as session:
            assert [one.number for one in repository.versions_of(session, digits.id)] == [2, 1]

    def test_digest_covers_the_public_files_in_any_order(self) -> None:
        files = [
            NamedFile("b", Stored("2" * 64, 2), True),
            NamedFile("a", Stored("1" * 64, 1), True),
            NamedFile("private", Stored("3" * 64, 3), False),
        ]
        canonical = json.dumps([["a", "1" * 64, 1], ["b", "2" * 64, 2]], separators=(",", ":"))

        assert service.manifest_digest(files) == hashlib.sha256(canonical.encode()).hexdigest()
        assert service.manifest_digest(files[::-1]) == service.manifest_digest(files)
        assert service.manifest_digest(files[:1]) != service.manifest_digest(files)


class TestPurge:
    def test_receipt_says_how_much_is_gone(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel
    ) -> None:
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)
        purged = [("model.safetensors", "a" * 64, 1001), ("prepared/codes.safetensors", "b" * 64, 500)]

        with transaction(sessions) as session:
            model = repository.model_named(session, "digits")
            (version,) = repository.withdrawn_versions(session, model.id)
            service.record_purge(session, model, version, purged)

        with transaction(sessions) as session:
            assert repository.withdrawn_versions(session, digits.id) == []
            row = repository.version_numbered(session, digits.id, 1)
            assert row.state == VersionState.PURGED
            assert row.purged_at is not None
            with pytest.raises(errors.Gone):
                service.servable(session, "digits", 1)
        (receipt,) = told(sessions, "version.purged")
        assert (receipt["version"], receipt["num_files"], receipt["bytes"]) == (1, 2, 1501)

    def test_files_of_the_served_version_are_alive_and_no_others(
        self, kernel: Kernel, sessions: Sessions, digits: ReadyModel, make_ready: MakeReady
    ) -> None:
        make_ready("letters", "letters")
        kernel.ask_samples(digits, 1)
        kernel.serve(digits)

        with transaction(sessions) as session:
            alive = repository.live_digests(session, digits.id)
        assert alive == {file.stored.sha256 for file in files_of_version("digits", 2)}


class TestList:
    def test_models_are_listed_in_the_order_they_were_registered(self, sessions: Sessions) -> None:
        ids = [register(sessions, registration(name, "shared")).id for name in ("b", "a", "c")]

        with transaction(sessions) as session:
            first = repository.models_after(session, None, 2)
            rest = repository.models_after(session, first[-1].id, 2)
        assert [model.id for model in (*first, *rest)] == ids


def register(sessions: Sessions, asked: Registration) -> Model:
    with transaction(sessions) as session:
        return service.register(session, asked)


def accept(sessions: Sessions, name: str, upload: Stored) -> Model:
    with transaction(sessions) as session:
        return service.accept_weights(session, name, upload)


def publish(sessions: Sessions, model: ReadyModel, base_number: int | None) -> None:
    with transaction(sessions) as session:
        service.publish(
            session,
            session.get_one(Model, model.id),
            base_number=base_number,
            files=files_of_version(model.name, (base_number or 0) + 1),
            guarantee="exact",
            run_id=None,
            facts={},
        )


def jobs_of(sessions: Sessions, model: Model | ReadyModel) -> list[tuple[str, str]]:
    with transaction(sessions) as session:
        query = select(Job.kind, Job.state).where(Job.model_id == model.id).order_by(Job.position)
        return [(row.kind, row.state) for row in session.execute(query)]


def told(sessions: Sessions, kind: str) -> list[dict[str, object]]:
    with transaction(sessions) as session:
        rows = session.scalars(select(LedgerEntry.entry).order_by(LedgerEntry.id))
        parsed = [entries.parse(row) for row in rows]
    return [dict(entry.body) for entry in parsed if entry.kind == kind]
