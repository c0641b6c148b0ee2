"""A study in turns: references first, then the rehearsal; and what carrying and refreshing leave of both."""

import dataclasses

import numpy as np
import pytest
import torch

from service.core.ledger.pseudonyms import Pseudonymiser
from tests.fixtures.benches import RECIPE, bench, quiet, weights
from workers.audit.resurrection.references import ClassReferences
from workers.engine.messages import Carry, Group, Prepare, Refresh, Study
from workers.engine.operations import rehearsing, studying
from workers.engine.operations.carrying import carry
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.operations.studying import study
from workers.engine.workbench import BANK, CLASS_REFERENCES, REHEARSAL, WEIGHTS
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.preparation.rehearsal.meter import Cost
from workers.preparation.training import TrainingError
from workers.unlearning import registry

METHODS = registry.discover()
OURS = {BANK, CLASS_REFERENCES, REHEARSAL}
NUM_TRAIN, NUM_HOLDOUT, NUM_TEST = 24, 12, 8
LADDERS = {"class": ("one_shot", "retrain"), "samples": ("retrain", "ssd")}


class Rows(ReaderSource):
    """Noise images of four classes, some of them a test split; tells which rows were read."""

    def __init__(self):
        splits = ["train"] * NUM_TRAIN + ["holdout"] * NUM_HOLDOUT + ["test"] * NUM_TEST
        images = torch.rand(len(splits), 1, 6, 6, generator=torch.Generator().manual_seed(0))
        self.rows_read = set()

        def read(positions):
            self.rows_read.update(positions.tolist())
            return images[positions]

        super().__init__("rows", Manifest.of(np.arange(len(splits)) % 4, splits), (1, 6, 6), read)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A bench; what a rehearsal on it may cost is counted in samples alone."""
    monkeypatch.setattr(rehearsing, "allowance", lambda num_samples, **_: Cost(2000, 0.0))
    return dataclasses.replace(bench(tmp_path / "store"), source=Rows())


@pytest.fixture
def first(table, tmp_path):
    """The files of version 1."""
    upload = table.keep(WEIGHTS, weights(), is_public=True)
    call = Prepare(
        model=table.spec, weights_sha256=upload.sha256, excluded=(), lineage_path=str(tmp_path / "rows")
    )
    return prepare(table, call, Pseudonymiser(b"k" * 32), quiet).files


def asked(table, base, tmp_path, **changes):
    """A turn that nothing bounds but what is given."""
    given = {
        "model": table.spec,
        "base": base,
        "forgotten_classes": (),
        "forgotten_positions": (),
        "reference_models": 4,
        "class_references": 2,
        "training_seconds": 0.1,
        "seconds_left": 600.0,
        "turn_seconds": 600.0,
        "give_way_path": str(tmp_path / "give-way"),
        "ladders": {"class": (), "samples": ()},
        "method_parameters": {},
        "limits": {},
        "given_up": {},
    }
    return Study(**{**given, **changes})


def studied(table, base, tmp_path, **changes):
    """The reply, and the version's files after it."""
    reply = study(table, asked(table, base, tmp_path, **changes), METHODS, quiet)
    return reply, (*(file for file in base if file.name not in OURS), *reply.files)


def carried(table, base, *groups):
    call = Carry(
        model=table.spec,
        base=base,
        weights=table.keep(WEIGHTS, weights(seed=1), is_public=True),
        groups=groups,
        is_retrained=False,
        forgotten_classes=(),
        forgotten_positions=(),
        guarantee="approximate",
    )
    return carry(table, call, quiet)


def names(files):
    return {file.name for file in files} & OURS


def test_a_study_that_nobody_interrupts_makes_references_and_rehearses(table, first, tmp_path):
    reply, files = studied(table, first, tmp_path, ladders=LADDERS)

    assert reply.is_done and names(files) == OURS and not reply.given_up
    assert len(table.bank(files)) == 4 and len(table.class_references(files)) == 2
    assert reply.references == {
        "members": 4,
        "classes": sorted(r.label for r in table.class_references(files).references),
    }
    assert [each["kind"] for each in reply.promise] == ["class", "samples", "memorised"]
    rehearsal = table.rehearsal(files)
    tried = {one.method for one in rehearsal.tries}
    assert tried and tried <= {"ssd", "one_shot"}, "exact methods need no rehearsal"
    assert all(one.seconds >= 0 for one in rehearsal.tries)


def test_a_study_never_reads_the_test_split(table, first, tmp_path):
    table.source.rows_read.clear()

    studied(table, first, tmp_path, ladders=LADDERS)

    assert table.source.rows_read and max(table.source.rows_read) < NUM_TRAIN + NUM_HOLDOUT


def test_a_study_stores_no_weights(table, first, tmp_path):
    before = {*table.store.digests(table.spec.space)}

    reply, _ = studied(table, first, tmp_path, ladders=LADDERS)

    assert {*table.store.digests(table.spec.space)} - before == {file.sha256 for file in reply.files}


def test_who_waits_ends_the_turn_after_one_training_and_the_next_goes_on(table, first, tmp_path):
    (tmp_path / "give-way").touch()

    reply, files = studied(table, first, tmp_path)
    again, _ = studied(table, files, tmp_path)

    assert not reply.is_done and reply.references["members"] == 1 and reply.promise == []
    assert again.references["members"] == 2


def test_turns_without_time_end_in_the_same_references_as_one_turn(table, first, tmp_path):
    files, turns = first, 0
    is_done = False
    while not is_done:
        reply, files = studied(table, files, tmp_path, turn_seconds=0.0 if turns < 3 else 600.0)
        turns, is_done = turns + 1, reply.is_done
    whole, _ = studied(table, first, tmp_path)

    assert turns > 3
    by_name = {file.name: file.sha256 for file in reply.files}
    assert all(by_name[file.name] == file.sha256 for file in whole.files if file.name != REHEARSAL)


def test_references_that_cost_too_much_are_left_out_and_the_rehearsal_is_made(table, first, tmp_path):
    reply, files = studied(table, first, tmp_path, training_seconds=1000.0)

    assert reply.is_done and names(files) == {REHEARSAL}
    assert any(reason.startswith("reference bank: 0 of 4") for reason in reply.left_out)
    assert any(reason.startswith("class references: 0 of 2") for reason in reply.left_out)


def test_a_study_without_any_time_left_is_done(table, first, tmp_path):
    reply, _ = studied(table, first, tmp_path, seconds_left=0.0)

    assert reply.is_done


def test_a_model_that_cannot_be_trained_again_is_rehearsed_without_references(table, first, tmp_path):
    gone = dataclasses.replace(table, recipe=dataclasses.replace(RECIPE, initial="a" * 64))

    reply, files = studied(gone, first, tmp_path)

    assert names(files) == {REHEARSAL} and reply.is_done
    assert "references: the model cannot be trained again" in reply.left_out
    assert "exact" not in {each["guarantee"] for each in reply.promise}


def test_a_part_that_fails_is_given_up_and_the_others_go_on(table, first, tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise TrainingError("expected training to converge, it diverged")

    monkeypatch.setattr(studying, "grow", diverge)

    reply, files = studied(table, first, tmp_path)
    again, _ = studied(table, files, tmp_path, given_up=reply.given_up)

    assert reply.given_up.keys() == {"bank"} and names(files) == {CLASS_REFERENCES, REHEARSAL}
    assert reply.is_done and again.is_done
    assert any("diverged" in reason for reason in again.left_out)


def test_members_that_learned_from_a_forgotten_sample_leave_with_it(table, first, tmp_path):
    _, files = studied(table, first, tmp_path)
    bank = table.bank(files)

    reply = carried(table, files, Group(kind="samples", positions=(5,)))

    left = table.bank(reply.files)
    assert 5 not in left.positions
    knew = bank.members[bank.is_in[bank.rows_of(np.array([5]))[0]]]
    assert {*left.members} == {*bank.members} - {*knew} and len(knew)
    assert names(reply.files) == {BANK}, "class references saw every sample but their class's"
    assert reply.facts["study"] == {"references": {"members": len(left), "classes": []}}


def test_a_bank_that_no_member_is_left_of_has_no_file(table, first, tmp_path):
    _, files = studied(table, first, tmp_path)

    reply = carried(table, files, Group(kind="class", classes=(2,)))

    assert BANK not in names(reply.files) and REHEARSAL not in names(reply.files)
    kept = table.class_references(reply.files) or ClassReferences()
    assert {each.label for each in kept.references} <= {2}
    assert reply.facts["study"]["references"]["members"] == 0


def test_a_class_and_a_sample_at_once_leave_no_class_reference(table, first, tmp_path):
    _, files = studied(table, first, tmp_path, class_references=4)

    reply = carried(table, files, Group(kind="class", classes=(2,)), Group(kind="samples", positions=(5,)))

    assert CLASS_REFERENCES not in names(reply.files)


def test_a_refresh_keeps_what_saw_nothing_forgotten_and_drops_the_rehearsal(table, first, tmp_path):
    _, files = studied(table, first, tmp_path)
    call = Refresh(model=table.spec, base=files, forgotten_classes=(), forgotten_positions=(5,))

    fresh = refresh(table, call, quiet).files

    left = table.bank(fresh)
    assert 5 not in left.positions and 0 < len(left) < 4
    assert names(fresh) == {BANK}


def test_the_study_after_a_deletion_fills_the_bank_up_without_the_forgotten(table, first, tmp_path):
    _, files = studied(table, first, tmp_path)
    after = carried(table, files, Group(kind="samples", positions=(5,))).files
    table.source.rows_read.clear()

    reply, renewed = studied(table, after, tmp_path, forgotten_positions=(5,))

    assert reply.references["members"] == 4 and 5 not in table.source.rows_read
    assert table.rehearsal(renewed).weights_sha256 != table.rehearsal(files).weights_sha256
