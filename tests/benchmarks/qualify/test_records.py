"""A method's file: a record for each family and kind, the newest in place of the one before."""

import json

from benchmarks.qualify import records
from workers.unlearning import qualification


def one(family, kind, date="2026-11-21"):
    return {
        "method_version": "1",
        "family": family,
        "kind": kind,
        "qualified": False,
        "num_models": 64,
        "date": date,
        "trials": [],
    }


def test_a_new_record_takes_the_place_of_the_one_before(tmp_path):
    records.write("way", one("perceptron", "class"), tmp_path)
    records.write("way", one("perceptron", "samples"), tmp_path)
    file = records.write("way", one("perceptron", "class", "2027-01-01"), tmp_path)

    written = json.loads(file.read_text())["records"]
    assert [(each["kind"], each["date"]) for each in written] == [
        ("class", "2027-01-01"),
        ("samples", "2026-11-21"),
    ]


def test_what_is_written_can_be_read_by_the_workers(tmp_path):
    file = records.write("way", one("convolutional", "samples"), tmp_path)

    (found,) = qualification.read("way", file.read_text())
    assert (found.family, found.kind, found.qualified) == ("convolutional", "samples", False)
