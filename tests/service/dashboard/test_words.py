"""Words promise no more than was shown, and nothing that exists is without a word."""

import pytest

from service.core.ledger.claims import Guarantee
from service.core.requests.states import Status
from service.dashboard import words


def test_every_state_and_guarantee_has_its_words() -> None:
    assert words.STATUS.keys() == words.STATUS_MEANING.keys() == {*Status}
    assert words.GUARANTEE.keys() == {*Guarantee}


def test_only_an_exact_guarantee_says_retrained() -> None:
    said = {name for name in Guarantee if "Retrained" in words.guarantee(name)[1]}

    assert said == {Guarantee.EXACT}


def test_an_approximate_guarantee_denies_that_the_data_is_erased() -> None:
    assert "Not proven erased" in words.guarantee("approximate")[1]


def test_a_passed_audit_is_not_called_a_proof() -> None:
    assert "no proof" in words.verdict("pass")[1]


@pytest.mark.parametrize(
    ("kind", "classes", "num_samples", "text"),
    [
        ("class", [3], 108, "class 3"),
        ("class", [0, 1, 7], 300, "classes 0, 1 and 7"),
        ("class", [*range(20)], 9, "20 classes"),
        ("samples", [], 1, "1 sample"),
        ("samples", [], 1200, "1,200 samples"),
        ("subject", [], 12, "one person"),
    ],
)
def test_target_is_told_in_labels_and_counts(
    kind: str, classes: list[int], num_samples: int, text: str
) -> None:
    assert words.target(kind, classes, num_samples) == text


def test_what_has_no_word_is_shown_under_its_own_name() -> None:
    assert words.check("brand_new") == ("Brand new", None)
    assert words.method("brand_new") == "Brand new"
    assert words.reason("brand_new") == "brand new"


def test_check_that_cannot_refuse_the_claim_is_only_shown() -> None:
    assert words.outcome(is_passed=False, is_decided=True, is_gate=False).text == "shown only"
    assert words.outcome(is_passed=True, is_decided=True, is_gate=False).text == "shown only"
    assert words.outcome(is_passed=False, is_decided=True, is_gate=True).text == "failed"
    assert words.outcome(is_passed=False, is_decided=False, is_gate=True).text == "could not tell"


def test_what_was_measured_of_a_method_is_told_with_its_outcome() -> None:
    record = {"family": "perceptron", "kind": "class", "num_models": 64, "qualified": False}

    assert words.measured(record) == "perceptron models, classes: did not qualify"


def test_attacks_that_papers_report_are_titled_as_such() -> None:
    shown = [words.check(name)[0] for name in ("entropy_attack", "loss_attack", "svc_attack")]

    assert all(title.endswith("as papers report it") for title in shown)
