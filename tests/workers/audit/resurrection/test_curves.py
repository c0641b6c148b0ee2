"""The curves for the plots: one value a point, and a band only where there are references."""

import json

from workers.audit.resurrection.curves import to_json
from workers.audit.resurrection.references import ClassReference, Judged, Resurrection
from workers.audit.resurrection.relearning import SHOTS
from workers.audit.resurrection.rescue import PRICES


def found(share):
    return Resurrection(share, share, (share,) * 3, 30, (share,) * len(PRICES), (share,) * len(SHOTS))


def test_every_curve_has_a_value_a_point():
    usual = tuple(ClassReference(label, found(share)) for label, share in enumerate((0.2, 0.4)))

    (record,) = to_json([Judged(3, found(0.5), found(0.9), usual)])

    assert record["class"] == 3
    assert [each["name"] for each in record["probes"]] == ["rescue", "relearning", "relapse"]
    for each in record["probes"]:
        assert len(each["points"]) == len(each["candidate"]) == len(each["masked"])
        assert {*each["reference"]["low"]} == {0.2} and {*each["reference"]["high"]} == {0.4}
    assert json.loads(json.dumps(record)) == record


def test_without_references_there_is_no_band_and_a_probe_that_was_not_made_is_left_out():
    bare = Resurrection(None, None, (0.1, 0.1, 0.1), 30)

    (record,) = to_json([Judged(3, bare, bare)])

    assert [(each["name"], each["reference"]) for each in record["probes"]] == [("relapse", None)]
