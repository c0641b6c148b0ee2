"""The whole audit on real small networks: those that never knew pass, those that pretend are refused."""

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.errors import AuditError
from workers.audit.suite import audit
from workers.numerics import architectures, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.digits import open_digits
from workers.numerics.params import load_params, state_of
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

RECIPE = TrainingRecipe(epochs=15, batch_size=32, learning_rate=0.05)
GOLD_SEED = 7
CLASS = 3
PROBES = {"rescue", "relearning", "relapse"}


def build():
    return architectures.mlp(in_features=64, hidden=48)


@dataclass(frozen=True)
class Trained:
    """The model that knew, models that never did, and what they are asked."""

    params: dict
    source: object
    of_class: SampleSet
    of_people: SampleSet
    without_class: dict
    without_people: dict

    def ask(self, params, *, forget, classes=(), **changes):
        manifest = self.source.manifest
        retain = np.setdiff1d(manifest.positions("train"), forget.positions)
        given = AuditInput(
            build=build,
            num_classes=10,
            base_params=self.params,
            params=params,
            groups=(ForgetGroup("class" if classes else "samples", classes, forget),),
            retain=SampleSet(self.source, retain[:400]),
            unseen=SampleSet(self.source, manifest.positions("holdout")[1::2]),
        )
        return audit(dataclasses.replace(given, **changes))

    def ask_class(self, params, **changes):
        return self.ask(params, forget=self.of_class, classes=(CLASS,), **changes)

    def ask_people(self, params, **changes):
        return self.ask(params, forget=self.of_people, **changes)


@pytest.fixture(scope="module")
def trained():
    """One base and two models retrained without, on the digits."""
    source = open_digits()
    rows = source.manifest.positions("train")
    of_class = rows[source.manifest.labels[rows] == CLASS]
    of_people = np.sort(np.random.default_rng(0).choice(rows, 40, replace=False))
    gold = dataclasses.replace(RECIPE, seed=GOLD_SEED)
    return Trained(
        params=train(build, source, RECIPE).params,
        source=source,
        of_class=SampleSet(source, of_class),
        of_people=SampleSet(source, of_people),
        without_class=train(build, source, gold, excluded=of_class).params,
        without_people=train(build, source, gold, excluded=of_people).params,
    )


def failed(report):
    return {check.name for check in report.checks if not check.passed}


def masked(params, amount=-1e4):
    bias = next(name for name in reversed(params) if params[name].shape == (10,))
    return {**params, bias: params[bias] + amount * torch.nn.functional.one_hot(torch.tensor(CLASS), 10)}


def collapsed(params):
    """A head that hardly looks at its features any more."""
    return {name: tensor * 0.01 if tensor.shape == (10, 48) else tensor for name, tensor in params.items()}


def over_forgotten(trained):
    """Learn wrong labels for the forget set and right ones for everything else."""
    model = build()
    load_params(model, trained.params)
    rows = np.setdiff1d(trained.source.manifest.positions("train"), trained.of_people.positions)
    ((kept, kept_labels),) = SampleSet(trained.source, rows).batches(len(rows))
    ((gone, gone_labels),) = trained.of_people.batches(len(trained.of_people))
    images, labels = torch.cat([kept, gone]), torch.cat([kept_labels, (gone_labels + 1) % 10])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    return state_of(model)


def test_a_model_retrained_without_a_class_passes(trained):
    report = trained.ask_class(trained.without_class, guarantee="exact")

    assert (report.verdict.outcome, report.verdict.guarantee) == ("pass", "exact")
    assert failed(report) == set()


def test_without_references_an_approximate_claim_about_a_class_stays_open(trained):
    report = trained.ask_class(trained.without_class)

    assert (report.verdict.outcome, report.verdict.guarantee) == ("inconclusive", "approximate")
    assert failed(report) == PROBES


def test_a_model_retrained_without_some_samples_passes(trained):
    report = trained.ask_people(trained.without_people, guarantee="exact")

    assert (report.verdict.outcome, report.verdict.guarantee) == ("pass", "exact")


def test_without_a_reference_bank_nobody_says_that_samples_were_forgotten(trained):
    report = trained.ask_people(trained.without_people, guarantee="approximate")

    assert report.verdict.outcome == "inconclusive"
    assert failed(report) == {"reference"}
    assert report.to_json()["reference"] is None


@pytest.mark.parametrize("claim", ["approximate", "exact"])
def test_the_untouched_original_is_refused_whatever_it_claims(trained, claim):
    copy = {name: tensor.clone() for name, tensor in trained.params.items()}

    by_class = trained.ask_class(copy, guarantee=claim)
    by_people = trained.ask_people(copy, guarantee=claim)

    assert by_class.verdict.outcome == by_people.verdict.outcome == "fail"
    assert {"no_op", "forgetting"} <= failed(by_class)
    assert "no_op" in failed(by_people)


@pytest.mark.parametrize("claim", ["approximate", "exact"])
def test_a_mask_is_refused_and_called_suppressed(trained, claim):
    report = trained.ask_class(masked(trained.params), guarantee=claim)

    assert (report.verdict.outcome, report.verdict.guarantee) == ("fail", "suppressed")
    assert failed(report) - PROBES == {"masking"}


def test_a_collapsed_head_is_refused_for_its_utility(trained):
    report = trained.ask_class(collapsed(trained.params))

    assert report.verdict.outcome == "fail"
    assert {"mean_drop", "worst_class_drop"} <= failed(report)


def test_a_training_that_went_wrong_is_refused_though_it_never_saw_the_data(trained):
    report = trained.ask_class(collapsed(trained.params), guarantee="exact")

    assert report.verdict.outcome == "fail"
    assert "mean_drop" in failed(report)


def test_an_over_forgotten_set_is_refused_although_utility_holds(trained):
    report = trained.ask_people(over_forgotten(trained))

    assert report.verdict.outcome == "fail"
    assert {"over_forgetting", "membership"} <= failed(report)
    assert not {"no_op", "masking", "mean_drop", "worst_class_drop"} & failed(report)


def test_three_samples_cannot_be_judged_unless_the_claim_is_exact(trained):
    three = trained.of_people.take(np.arange(3))

    approximate = trained.ask(trained.without_people, forget=three)
    exact = trained.ask(trained.without_people, forget=three, guarantee="exact")

    assert approximate.verdict.outcome == "inconclusive"
    assert exact.verdict.outcome == "pass"


def test_a_model_that_is_not_finite_fails_without_further_numbers(trained):
    broken = {name: tensor * torch.nan for name, tensor in trained.params.items()}

    report = trained.ask_class(broken)

    assert report.verdict.outcome == "fail"
    assert [check.name for check in report.checks] == ["finite"]
    assert json.dumps(report.to_json(), allow_nan=False)


def test_the_report_is_json_and_the_same_again(trained):
    first, second = (trained.ask_people(trained.without_people, seed=5).to_json() for _ in range(2))

    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first.keys() >= {
        "suite",
        "verdict",
        "guarantee",
        "checks",
        "before",
        "after",
        "histograms",
        "seconds",
    }
    assert {"name", "value", "interval", "threshold", "passed", "detail"} <= first["checks"][0].keys()


def test_what_is_reported_is_what_the_models_do(trained):
    report = trained.ask_class(trained.without_class).to_json()

    unseen = SampleSet(trained.source, trained.source.manifest.positions("holdout")[1::2])
    logits, labels = metrics.logits_of(build(), trained.without_class, unseen)
    kept = labels != CLASS
    assert report["after"]["retained_accuracy"] == pytest.approx(metrics.accuracy(logits[kept], labels[kept]))
    assert report["after"]["forgotten_accuracy"] == 0.0
    assert report["before"]["forgotten_accuracy"] > 0.9


def test_a_policy_may_be_stricter(trained):
    report = trained.ask_people(trained.without_people, guarantee="exact", limits={"movement": 100.0})

    assert failed(report) == {"no_op", "reference"}
    assert report.verdict.outcome == "fail"
    assert report.to_json()["limits"]["movement"] == 100.0


def test_an_unknown_limit_is_refused(trained):
    with pytest.raises(AuditError, match="'utility'"):
        trained.ask_class(trained.without_class, limits={"utility": 0.1})
