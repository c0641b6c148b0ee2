"""What tries teach: which setting to take, and when a method is seen to fail; and that a record survives."""

import json
from typing import Any

from workers.preparation.rehearsal import experience, promise
from workers.preparation.rehearsal.record import CaseKind, Outcome, Rehearsal, Try

RHO = {"rho": 0.3}


def tried(
    case: str,
    outcome: str = "pass",
    *,
    method: str = "ssd",
    setting: dict[str, Any] | None = None,
    kind: CaseKind = CaseKind.CLASS,
    drop: float | None = 0.01,
    seconds: float = 0.2,
) -> Try:
    return Try(
        kind=kind,
        case=case,
        label=int(case.split()[1]) if kind is CaseKind.CLASS else None,
        num_samples=10,
        method=method,
        guarantee="approximate",
        setting=setting or {},
        outcome=Outcome(outcome),
        reason="",
        drop=drop,
        seconds=seconds,
    )


def record(*tries: Try) -> Rehearsal:
    return Rehearsal("suite-1", "a" * 64, tries, samples=10, budget=20, seconds=1.5, left_out=("x",))


def test_a_record_survives_its_file() -> None:
    before = record(tried("class 1", setting=RHO), tried("class 2", "refused", drop=None))

    assert Rehearsal.of_json(json.loads(json.dumps(before.to_json()))) == before


def test_what_a_later_release_adds_to_a_record_is_passed_over() -> None:
    told = record(tried("class 1")).to_json()
    told["weather"] = "fine"
    told["tries"] = [{**one, "mood": "good"} for one in told["tries"]]

    assert Rehearsal.of_json(told) == record(tried("class 1"))


def test_the_setting_that_is_likeliest_to_pass_again_is_taken() -> None:
    found = record(
        tried("class 1", "fail"),
        tried("class 1", setting=RHO),
        tried("class 2"),
        tried("class 3", setting=RHO),
    )

    assert experience.best_setting(found, "ssd", CaseKind.CLASS) == RHO


def test_once_of_once_does_not_beat_nine_of_ten() -> None:
    often = [tried(f"class {label}", "pass" if label else "fail") for label in range(10)]

    assert experience.best_setting(record(*often, tried("class 0", setting=RHO)), "ssd", CaseKind.CLASS) == {}


def test_a_class_that_was_rehearsed_has_the_setting_that_it_passed_at() -> None:
    others = [tried(f"class {label}") for label in (1, 2, 4, 5)]
    found = record(*others, tried("class 3", "fail"), tried("class 3", setting=RHO))

    assert experience.best_setting(found, "ssd", CaseKind.CLASS, label=3) == RHO
    assert experience.best_setting(found, "ssd", CaseKind.CLASS, label=7) == {}


def test_a_setting_that_never_passed_is_not_taken() -> None:
    found = record(tried("class 1", "fail", setting=RHO), tried("class 2", "inconclusive", setting=RHO))

    assert experience.best_setting(found, "ssd", CaseKind.CLASS) == {}


def test_three_lost_cases_are_needed_to_see_a_method_fail() -> None:
    thrice_on_two = [tried("class 1", "fail"), tried("class 1", "refused"), tried("class 2", "fail")]

    assert not experience.is_seen_to_fail(record(*thrice_on_two), "ssd", [CaseKind.CLASS])
    third = tried("class 3", "fail")
    assert experience.is_seen_to_fail(record(*thrice_on_two, third), "ssd", [CaseKind.CLASS])
    for other in ("pass", "inconclusive"):
        hopeful = record(*thrice_on_two, third, tried("class 4", other))
        assert not experience.is_seen_to_fail(hopeful, "ssd", [CaseKind.CLASS])


def test_a_case_counts_once_however_many_settings_it_took() -> None:
    tries = [tried("class 1", "fail"), tried("class 1", setting=RHO), tried("class 2", "fail")]

    assert experience.cases_of(tries) == (1, 2)


def test_a_promise_says_of_how_many_rehearsals_it_speaks() -> None:
    tries = [tried(f"class {label}", "pass" if label else "fail") for label in range(10)]

    by_kind = {each.kind: each for each in promise.promises(record(*tries), 2400.0, can_retrain=True)}

    assert (
        by_kind["class"].text
        == "class requests: ssd, 0.2 s, approximate, passed 9 of 10 rehearsals (suite-1)"
    )
    assert (by_kind["class"].passed, by_kind["class"].rehearsed) == (9, 10)
    assert by_kind["memorised"].text == "memorised samples: exact only, about 40 min; nothing rehearsed"


def test_a_method_that_passed_less_than_half_is_not_promised() -> None:
    tries = [
        tried(f"samples {number}", "pass" if number < 1 else "fail", kind=CaseKind.SAMPLES)
        for number in range(4)
    ]

    (_, samples, _) = promise.promises(record(*tries), 30.0, can_retrain=True)
    (_, lost, _) = promise.promises(record(*tries), None, can_retrain=False)

    assert (samples.method, samples.guarantee, samples.seconds) == ("retrain", "exact", 30.0)
    assert "exact only, about 30 s; ssd passed 1 of 4 rehearsals" in samples.text
    assert lost.method is None and "a person decides" in lost.text


def test_a_promise_says_how_many_rehearsals_could_not_be_judged() -> None:
    tries = [tried("class 1", "inconclusive"), tried("class 2", "fail")]

    (classes, *_) = promise.promises(record(*tries), 30.0, can_retrain=True)

    assert "ssd passed 0 of 2 rehearsals, 1 could not be judged" in classes.text


def test_durations_are_told_in_one_unit() -> None:
    spans = (0.018, 0.2, 9.96, 60, 2400, 36000)

    assert [promise.duration(each) for each in spans] == [
        "18 ms",
        "0.2 s",
        "10.0 s",
        "60 s",
        "40 min",
        "10 h",
    ]
