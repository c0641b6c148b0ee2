"""The bench of class audits: what counts as a missed goal, and what it takes for doing nothing."""

import pytest
import torch

from benchmarks.audit_classes import NUM_REFERENCES, Row, jittered, print_figures, print_table
from workers.audit.resurrection.references import Judged, Resurrection
from workers.numerics.params import num_changed

FOUND = Resurrection(0.9, 0.8, (0.0, 0.0, 0.0), 100)


def rows(way, verdict, count):
    row = Row(
        network="net",
        way=way,
        verdicts=dict.fromkeys(NUM_REFERENCES, verdict),
        without_probes="pass",
        refused_by=("rescue",) if verdict == "fail" else (),
        powers=dict.fromkeys(NUM_REFERENCES, True),
        judged=Judged(0, FOUND, FOUND),
    )
    return [row] * count


@pytest.mark.parametrize(
    ("way", "num_refused", "is_missed"),
    [
        ("gold", 1, False),
        ("gold", 2, True),
        ("output_mask", 19, False),
        ("output_mask", 18, True),
        ("ssd", 0, False),
    ],
)
def test_a_goal_is_missed_by_the_share_that_is_refused(way, num_refused, is_missed):
    found = [*rows(way, "fail", num_refused), *rows(way, "pass", 20 - num_refused)]

    assert print_figures(found) is is_missed


def test_the_table_has_a_line_a_way(capsys):
    print_table("net", [*rows("gold", "pass", 3), *rows("original", "fail", 3)])

    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("gold", "original")) for line in lines) == 2
    assert "rescue 3" in next(line for line in lines if line.startswith("original"))


def test_doing_nothing_changes_weights_by_rounding_alone():
    params = {"weight": torch.ones(100), "count": torch.tensor(3)}

    found = jittered(params, seed=0)

    assert num_changed(params, found) > 0 and torch.equal(found["count"], params["count"])
    torch.testing.assert_close(found["weight"], params["weight"], rtol=1e-5, atol=0)
