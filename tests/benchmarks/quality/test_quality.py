"""The bench runs from training to figures, and finds what doing nothing is."""

import pytest

from benchmarks.cache import Cache
from benchmarks.quality import plot, tables
from benchmarks.quality.__main__ import outcomes
from benchmarks.quality.ways import MASK, NOTHING
from benchmarks.setting import digits_setting


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    setting = digits_setting(epochs=4)
    cache = Cache(tmp_path_factory.mktemp("quality"), setting)
    measured = [*outcomes(setting, cache, [0], ["class", "canaries"], ["retrain", "ssd"])]
    references = {(outcome.ask, outcome.seed): ruler.reference_scores() for outcome, ruler in measured}
    return tables.lines([outcome for outcome, _ in measured], references)


def test_each_request_is_met_by_the_floors_and_the_methods_asked_for(found):
    assert {line.method for line in found["class"]} == {NOTHING, MASK, "retrain", "ssd"}
    assert {line.method for line in found["canaries"]} == {NOTHING, "retrain", "ssd"}


@pytest.mark.parametrize("ask", ["class", "canaries"])
def test_doing_nothing_passes_no_audit_and_stays_farthest_from_retraining(found, ask):
    by_name = {line.method: line for line in found[ask] if line.measured}

    nothing = by_name[NOTHING]
    assert nothing.num_passed == 0
    assert nothing.distance == max(line.distance for line in by_name.values()) > 1
    assert by_name["retrain"].distance == 1


def test_the_plot_is_drawn(found, tmp_path):
    plot.draw(found, "digits", tmp_path / "deep" / "plot.png")

    assert (tmp_path / "deep" / "plot.png").stat().st_size > 10_000
