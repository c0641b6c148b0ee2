"""The rule: what lies above models without the class is refused, and what nobody could notice stays open."""

import math

import numpy as np
import pytest
from scipy import stats

from workers.audit.limits import Limits
from workers.audit.resurrection.judgement import findings, log_odds, result
from workers.audit.resurrection.references import ClassReference, Judged, Resurrection

MASK = Resurrection(0.98, 0.97, (0.0, 0.0, 0.0), 200)
GOLDS = ((0.80, 0.75), (0.84, 0.80), (0.78, 0.70), (0.82, 0.78), (0.86, 0.82), (0.81, 0.72))
LIMITS = Limits()


def reference(label, rescue, relearning, relapse=0.0):
    return ClassReference(label, Resurrection(rescue, relearning, (0.0, relapse, relapse), 200), MASK)


REFERENCES = tuple(reference(label, *gold) for label, gold in enumerate(GOLDS))
WIDE = tuple(
    reference(label, rescue, share)
    for label, (rescue, _), share in zip(range(4), GOLDS[:4], (0.5, 0.9, 0.99, 0.8), strict=True)
)


def judged(rescue=0.8, relearning=0.75, relapse=0.0, references=REFERENCES, num_samples=200, label=3):
    found = Resurrection(rescue, relearning, (0.0, relapse, 0.0), num_samples)
    return Judged(label, found, MASK, references)


def outcome(name, *classes, limits=LIMITS):
    """Return passed, refused, outranked or undecided."""
    found = result(name, classes, limits)
    if found.is_outranked:
        return "outranked"
    return ("passed" if found.passed else "refused") if found.is_decided else "undecided"


def test_the_limit_is_the_prediction_limit_of_one_more_reference():
    found = findings(judged(), LIMITS)["relearning"]

    distances = [log_odds(share, 200) - log_odds(0.97, 200) for _, share in GOLDS]
    reach = stats.t.isf(LIMITS.resurrection_level * 0.6, 5) * np.std(distances, ddof=1) * math.sqrt(1 + 1 / 6)
    assert found.limit == pytest.approx(np.mean(distances) + reach)


def test_a_model_like_the_references_passes():
    assert outcome("rescue", judged()) == outcome("relearning", judged()) == "passed"
    assert outcome("relapse", judged()) == "outranked"


@pytest.mark.parametrize(
    ("name", "changes"),
    [("rescue", {"rescue": 0.97}), ("relearning", {"relearning": 0.96}), ("relapse", {"relapse": 0.5})],
)
def test_what_comes_back_more_than_in_references_is_refused_by_its_own_probe(name, changes):
    others = {"rescue", "relearning", "relapse"} - {name}

    assert outcome(name, judged(**changes)) == "refused"
    assert "refused" not in {outcome(other, judged(**changes)) for other in others}


def test_references_that_spread_so_far_that_a_mask_lies_among_them_decide_nothing():
    found = judged(references=WIDE)

    assert findings(found, LIMITS)["rescue"].has_power
    assert outcome("relearning", found) == "undecided"
    assert outcome("rescue", found) == "passed"


def test_where_relearning_has_power_a_rescue_without_is_outranked():
    easy = tuple(
        reference(label, share, 0.75 + 0.01 * label) for label, share in enumerate((0.6, 0.99, 0.7, 0.97))
    )

    found = judged(references=easy)

    assert outcome("relearning", found) == "passed"
    assert outcome("rescue", found) == "outranked"


def test_without_a_linear_head_the_rescue_decides_alone():
    bare = tuple(reference(label, rescue, None) for label, (rescue, _) in enumerate(GOLDS))

    found = judged(relearning=None, references=bare)

    assert outcome("rescue", found) == "passed"
    assert result("relearning", [found], LIMITS) is None


@pytest.mark.parametrize("references", [(), REFERENCES[:2]])
def test_fewer_than_three_references_decide_nothing(references):
    found = judged(references=references)

    assert {outcome(name, found) for name in ("rescue", "relearning", "relapse")} == {"undecided"}


def test_a_reference_whose_mask_is_not_known_does_not_count():
    bare = tuple(ClassReference(each.label, each.found) for each in REFERENCES)

    assert outcome("rescue", judged(references=bare)) == "undecided"


def test_what_is_no_better_than_a_mask_is_refused_without_references():
    found = judged(rescue=0.975, relearning=0.97, references=())

    assert outcome("rescue", found) == outcome("relearning", found) == "refused"
    assert outcome("relapse", found) == "undecided"


@pytest.mark.parametrize("changes", [{"rescue": 0.8}, {"relearning": 0.7}, {"num_samples": 10}])
def test_one_probe_that_tells_it_from_a_mask_or_too_few_samples_leave_it_open(changes):
    given = {"rescue": 0.975, "relearning": 0.97, "references": (), **changes}

    assert outcome("rescue", judged(**given)) == "undecided"


def test_a_class_so_easy_that_models_without_it_do_as_well_as_a_mask_leaves_it_open():
    easy = tuple(reference(label, 0.98 - 0.002 * label, 0.97 - 0.002 * label) for label in range(6))

    found = judged(rescue=0.98, relearning=0.97, references=easy)

    assert outcome("rescue", found) == outcome("relearning", found) == "undecided"


def test_references_that_all_agree_still_allow_for_chance():
    alike = tuple(reference(label, 0.8, 0.75) for label in range(6))

    assert outcome("relapse", judged(relapse=2 / 200, references=alike)) == "outranked"
    assert outcome("relapse", judged(relapse=40 / 200, references=alike)) == "refused"


def test_the_worst_of_several_classes_decides():
    good, bad, open_ = judged(label=1), judged(label=2, relearning=0.97), judged(label=4, references=())

    assert outcome("relearning", good, bad, open_) == "refused"
    assert outcome("relearning", good, open_) == "undecided"
    assert result("relearning", [good, bad], LIMITS).detail.startswith("class 2: 0.970, behind a mask 0.970")


def test_the_sentence_names_both_ends_of_the_scale():
    detail = result("rescue", [judged()], LIMITS).detail

    assert detail.startswith(
        "class 3: 0.800, behind a mask 0.980, in 6 models that never saw a class 0.780 to "
    )
    assert detail.endswith("on 200 samples; a mask would be refused")


def test_models_without_the_class_are_refused_as_seldom_as_the_level_says():
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        shares = 1 / (1 + np.exp(-random.normal([1.5, 1.0], 0.4, (7, 2))))
        usual = tuple(reference(label, *pair) for label, pair in enumerate(shares[1:].tolist()))
        found = judged(*shares[0].tolist(), references=usual)
        refused += "refused" in {outcome(name, found) for name in ("rescue", "relearning", "relapse")}

    assert refused / 300 <= 0.05  # level 0.03; two standard errors above
