"""Rehearsing: tuning chooses, the audit decides, a turn goes on from the last, and the allowance holds."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.fixtures import forget_problems
from workers.audit.base import CheckResult
from workers.audit.verdict import Outcome as Verdict
from workers.preparation.rehearsal.cases import Case
from workers.preparation.rehearsal.meter import Cost, Meter
from workers.preparation.rehearsal.record import CaseKind, Outcome, Rehearsal
from workers.preparation.rehearsal.rehearse import allowance, rehearse
from workers.preparation.rehearsal.trying import UNFIT, Offer, Stage, attempt
from workers.unlearning.base import Guarantee, Kind, Need, UnlearnResult
from workers.unlearning.errors import DeviceMemoryError, IneffectiveError
from workers.unlearning.parameters import parameter

PLENTY = Cost(1e9, 1e9)


@dataclass(frozen=True)
class Strength:
    """How far the forgotten class's output is lowered."""

    amount: float = parameter(100.0, "How far.")


@dataclass
class Lowering:
    """A method that lowers the class's output, and remembers at which strengths it ran."""

    name: str = "lowering"
    version: str = "1"
    guarantee: Guarantee = Guarantee.APPROXIMATE
    kinds: frozenset = frozenset({Kind.CLASS, Kind.SAMPLES})
    needs: frozenset = frozenset({Need.FORGET_SET})
    error: Exception | None = None
    ran: list = field(default_factory=list)
    Parameters: type = Strength

    def forget(self, problem, parameters):
        self.ran.append(parameters.amount)
        if self.error is not None:
            raise self.error
        problem.build()(problem.forget.source.images(problem.forget.positions))
        bias = problem.params["head.bias"]
        lowered = bias - parameters.amount * torch.nn.functional.one_hot(
            torch.tensor(problem.classes[0]), len(bias)
        )
        return UnlearnResult({**problem.params, "head.bias": lowered}, {})


class Theatre:
    """A stage of tiny problems, whose audit says what it is told to; a meter counts its models."""

    def __init__(self, *verdicts):
        self.meter = Meter(forget_problems.problem(Kind.CLASS).build, Cost(0, 0))
        self.verdicts = [*verdicts] or [Verdict.PASS] * 100
        self.audited = []

    @property
    def stage(self):
        return Stage(self.pose, self.examine)

    def pose(self, case):
        problem = forget_problems.problem(Kind.CLASS, classes=case.classes)
        return replace(problem, build=self.meter.build)

    def examine(self, case, params, claim):
        self.audited.append((case.name, claim))
        check = CheckResult("forgetting", 0.0, None, None, 0.0, False, "")
        summary = SimpleNamespace(retained_accuracy=0.9), SimpleNamespace(retained_accuracy=0.88)
        verdict = self.verdicts.pop(0)
        return SimpleNamespace(
            verdict=SimpleNamespace(outcome=verdict),
            checks=() if verdict is Verdict.PASS else (check,),
            gates={"forgetting"},
            before=summary[0],
            after=summary[1],
        )


def class_case(label):
    return Case(CaseKind.CLASS, f"class {label}", (label,), np.arange(3))


def rehearsed(theatre, cases, offers, record=None, *, allowed=PLENTY, is_due=lambda: False):
    return rehearse(
        theatre.stage,
        cases,
        {CaseKind.CLASS: offers},
        record or Rehearsal("suite", "0" * 64),
        theatre.meter,
        allowed,
        is_due=is_due,
        progress=lambda fraction: None,
    )


def offer(*settings, method=None):
    return Offer(method or Lowering(), settings or ({},))


def test_what_tuning_samples_find_wanting_is_not_audited_while_another_setting_is_good():
    theatre = Theatre()
    tried = attempt(theatre.stage, class_case(0), offer({"amount": 0.0}, {"amount": 100.0}), [])

    assert [(one.setting["amount"], one.outcome, one.reason) for one in tried] == [
        (100.0, Outcome.PASSED, ""),
        (0.0, Outcome.REFUSED, UNFIT),
    ]
    assert len(theatre.audited) == 1
    assert tried[0].drop == pytest.approx(0.02)


def test_where_nothing_is_good_the_best_is_audited_so_that_the_record_tells_what_a_request_would_meet():
    theatre = Theatre(Verdict.FAIL)
    (only,) = attempt(theatre.stage, class_case(0), offer({"amount": 0.0}), [])

    assert (only.outcome, only.reason) == (Outcome.FAILED, "forgetting")


def test_what_the_audit_cannot_judge_at_one_setting_is_not_tried_at_another():
    theatre = Theatre(Verdict.INCONCLUSIVE)
    tried = attempt(theatre.stage, class_case(0), offer({"amount": 90.0}, {"amount": 80.0}), [])

    assert [one.outcome for one in tried] == [Outcome.INCONCLUSIVE]


def test_a_method_that_cannot_serve_is_noted_as_refused():
    method = Lowering(error=IneffectiveError("no"))
    (only,) = attempt(Theatre().stage, class_case(0), offer(method=method), [])

    assert (only.outcome, only.reason) == (Outcome.REFUSED, "ineffective")


def test_want_of_memory_ends_the_turn_and_is_no_verdict_on_the_method():
    method = Lowering(error=DeviceMemoryError("full"))

    with pytest.raises(DeviceMemoryError):
        attempt(Theatre().stage, class_case(0), offer(method=method), [])


def test_a_setting_that_failed_one_class_is_tried_last_on_the_next():
    theatre = Theatre(Verdict.FAIL, Verdict.PASS, Verdict.PASS)
    method = Lowering()
    record = rehearsed(
        theatre, [class_case(0), class_case(1)], [offer({"amount": 90.0}, {"amount": 80.0}, method=method)]
    )

    assert method.ran == [90.0, 80.0, 80.0]
    assert [one.outcome for one in record.tries] == [Outcome.FAILED, Outcome.PASSED, Outcome.PASSED]


def test_a_turn_ends_between_two_cases_and_the_next_goes_on():
    theatre, method = Theatre(), Lowering()
    cases = [class_case(label) for label in range(3)]
    turns = iter([False, True, False, False, False])

    first = rehearsed(theatre, cases, [offer(method=method)], is_due=lambda: next(turns))
    second = rehearsed(theatre, cases, [offer(method=method)], first, is_due=lambda: next(turns))

    assert not first.is_complete and len(first.tries) == 1
    assert second.is_complete and [one.case for one in second.tries] == ["class 0", "class 1", "class 2"]
    assert len(method.ran) == 3, "nothing is rehearsed twice"


def test_an_allowance_that_is_spent_ends_the_rehearsal_and_says_so():
    theatre = Theatre()
    cases = [class_case(label) for label in range(3)]

    record = rehearsed(theatre, cases, [offer()], allowed=Cost(1, 0))

    assert record.is_complete and record.samples <= 100
    assert any("the allowance is spent" in reason for reason in record.left_out)


def test_a_try_that_is_dearer_than_its_part_is_left_out_and_the_others_are_made():
    theatre = Theatre()

    class Greedy(Lowering):
        def forget(self, problem, parameters):
            for _ in range(1000):
                problem.build()(problem.forget.source.images(problem.forget.positions))
            raise AssertionError("it was to be ended")

    record = rehearsed(
        theatre, [class_case(0)], [offer(method=Greedy(name="greedy")), offer()], allowed=Cost(5000, 0)
    )

    assert [one.method for one in record.tries] == ["lowering"]
    assert any(reason.startswith("greedy on class 0") for reason in record.left_out)


def test_the_allowance_is_an_epoch_forward_and_backward():
    assert allowance(1000).samples == 3000
