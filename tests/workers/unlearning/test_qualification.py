"""What was measured of a method, and what is said of one that nobody measured, or that did not pass."""

import json
from dataclasses import dataclass

import pytest

from workers.numerics.families import ArchitectureFamily
from workers.unlearning import qualification, registry
from workers.unlearning.base import Guarantee, Kind
from workers.unlearning.errors import BrokenRecordError

MEASURED = "stub"
RECORD = {
    "method_version": "2",
    "family": "perceptron",
    "kind": "class",
    "num_models": 64,
    "qualified": True,
    "date": "2026-11-21",
}


@dataclass(frozen=True)
class Stub:
    """A method, as far as its records go."""

    version: str = "2"
    guarantee: Guarantee = Guarantee.APPROXIMATE
    name: str = MEASURED


@pytest.fixture
def folder(tmp_path):
    """Write records of the stub; return where they lie."""

    def write(*records):
        (tmp_path / f"{MEASURED}.json").write_text(json.dumps({"method": MEASURED, "records": records}))
        return tmp_path

    return write


def test_a_method_that_qualified_runs_without_reservation(folder):
    where = folder(RECORD)

    assert qualification.reservation(Stub(), "perceptron", "class", where) is None


@pytest.mark.parametrize(("family", "kind"), [("convolutional", "class"), ("perceptron", "samples")])
def test_a_record_says_nothing_of_other_models_or_requests(folder, family, kind):
    said = qualification.reservation(Stub(), family, kind, folder(RECORD))

    assert said == f"Experimental: stub has no qualification record for {family} models and {kind} requests."


def test_a_record_says_nothing_of_a_later_version(folder):
    said = qualification.reservation(Stub(version="3"), "perceptron", "class", folder(RECORD))

    assert "no qualification record" in said


def test_a_method_that_nobody_measured_is_experimental(tmp_path):
    assert "no qualification record" in qualification.reservation(Stub(), "perceptron", "class", tmp_path)


def test_a_method_that_did_not_pass_is_experimental_and_it_is_said_why(folder):
    said = qualification.reservation(Stub(), "perceptron", "class", folder({**RECORD, "qualified": False}))

    assert said.startswith("Experimental:") and "did not qualify" in said


@pytest.mark.parametrize("guarantee", [Guarantee.EXACT, Guarantee.CERTIFIED])
def test_what_rests_on_how_the_model_was_made_needs_no_record(tmp_path, guarantee):
    assert qualification.reservation(Stub(guarantee=guarantee), "perceptron", "class", tmp_path) is None


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"method": "other", "records": []}', '{"method": "stub", "records": [{"family": "x"}]}'],
)
def test_a_file_that_is_no_record_is_refused(content):
    with pytest.raises(BrokenRecordError, match="stub"):
        qualification.read(MEASURED, content)


def test_the_records_of_the_package_are_of_its_methods_and_can_be_read():
    methods = registry.discover()
    measured = {name: qualification.records_of(method) for name, method in methods.items()}

    found = [each for records in measured.values() for each in records]
    assert {"ssd", "one_shot", "neg_grad_plus"} <= {each.method for each in found}
    assert {each.family for each in found} <= {*ArchitectureFamily}
    assert {each.kind for each in found} <= {*Kind}


def test_the_catalogue_lists_what_was_measured():
    row = registry.describe(registry.discover()["ssd"])

    assert {(each["family"], each["kind"]) for each in row["qualifications"]} >= {("perceptron", "class")}
