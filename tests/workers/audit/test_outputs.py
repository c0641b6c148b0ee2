"""Both models are asked once about every sample, and what they say is put beside its label."""

import numpy as np
import pytest
import torch

from tests.fixtures import audit_outputs as made
from tests.fixtures import forget_problems
from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.errors import AuditError
from workers.audit.kept_answers import KeptAnswers
from workers.audit.outputs import SATURATION, Answers, collect
from workers.unlearning.base import Kind


@pytest.fixture(scope="module")
def given():
    """A class and a few samples to audit, with the first weight changed."""
    problem = forget_problems.problem(Kind.CLASS, classes=(1,))
    first = next(iter(problem.params))
    return AuditInput(
        build=problem.build,
        num_classes=4,
        base_params=problem.params,
        params={**problem.params, first: problem.params[first] + 0.1},
        groups=(
            ForgetGroup("class", (1,), problem.forget),
            ForgetGroup("samples", (), problem.retain.take(np.arange(3))),
        ),
        retain=problem.retain.take(np.arange(3, 20)),
        unseen=problem.tuning,
        forgotten_classes=(3,),
    )


def changed(given, **changes):
    return AuditInput(**{**vars(given), **changes})


def test_every_set_is_answered_by_both_models(given):
    heard = []

    outputs = collect(given, heard.append)

    assert [len(group.forget) for group in outputs.groups] == [12, 3]
    assert (len(outputs.retain), len(outputs.unseen)) == (17, 24)
    assert not np.array_equal(outputs.unseen.base.logits, outputs.unseen.new.logits)
    assert outputs.weights.num_changed == next(iter(given.params.values())).numel()
    assert heard == [0.25, 0.5, 0.75, 1.0]


def test_what_the_base_model_is_known_to_answer_is_not_asked_again(given):
    positions = given.unseen.positions
    known = np.sort(positions)
    logits = np.random.default_rng(0).normal(size=(len(known), 4)).astype(np.float32)

    outputs = collect(changed(given, base_answers=KeptAnswers(known, logits)), lambda fraction: None)

    asked = logits[np.searchsorted(known, positions)].astype(np.float64)
    assert np.array_equal(outputs.unseen.base.logits, asked)
    assert not np.array_equal(outputs.unseen.new.logits, asked)
    assert len(outputs.retain.base) == 17, "rows that are not kept are asked of the model"


def test_utility_is_measured_where_something_is_still_known(given):
    outputs = collect(given, lambda fraction: None)

    assert outputs.gone == (1, 3) and outputs.kept == (0, 2)
    assert {*outputs.unseen_kept.new.labels.tolist()} == {0, 2}


def test_an_empty_set_is_no_obstacle(given):
    outputs = collect(changed(given, retain=given.retain.take(np.arange(0))), lambda fraction: None)

    assert len(outputs.retain) == 0 and len(outputs.everything) == 3


def test_nothing_to_audit_is_refused(given):
    with pytest.raises(AuditError, match="nothing to audit"):
        collect(changed(given, groups=()), lambda fraction: None)


def test_an_unknown_kind_is_refused(given):
    group = ForgetGroup("subject", (), given.groups[0].forget)

    with pytest.raises(AuditError, match="class or samples"):
        collect(changed(given, groups=(group,)), lambda fraction: None)


def test_log_odds_come_from_logits_and_do_not_overflow():
    answers = Answers(np.array([[0.0, np.log(3)], [1e4, 0.0]]), np.array([1, 0]))

    assert answers.log_odds.tolist() == pytest.approx([np.log(3), SATURATION])


def test_an_answer_that_is_no_number_is_never_right():
    answers = Answers(np.array([[np.nan, 1.0], [2.0, 1.0]]), np.array([1, 0]))

    assert answers.is_right.tolist() == [False, True]


def test_hand_made_answers_have_the_log_odds_they_ask_for():
    assert made.answers([0, 3], [2.0, -1.0]).log_odds == pytest.approx([2.0, -1.0])
    assert torch.from_numpy(made.answers([2], 1.0).logits).softmax(1)[0, 2] == pytest.approx(0.7311, abs=1e-4)
