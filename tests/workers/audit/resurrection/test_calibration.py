"""The probes in the suite, on real small networks: each refuses what only it can see, and references count.

A short version of `benchmarks.audit_classes`. It fails if the check of a probe is turned off, if references
are not looked at, or if a model that never saw the class is refused.
"""

import dataclasses

import numpy as np
import pytest
import torch

from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.resurrection.references import ClassReferences
from workers.audit.suite import audit
from workers.numerics import architectures, linear_head
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.digits import open_digits
from workers.preparation import class_references
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

SOURCE = open_digits()
RECIPE = TrainingRecipe(epochs=20, batch_size=32, learning_rate=0.1)
CLASS = 3
NUM_REFERENCES = 7
PROBES = {"rescue", "relearning", "relapse"}


def build():
    return architectures.mlp(in_features=64)


def without(label, seed):
    rows = SOURCE.manifest.positions("train")
    excluded = rows[SOURCE.manifest.labels[rows] == label]
    return train(build, SOURCE, dataclasses.replace(RECIPE, seed=seed), excluded=excluded).params


@pytest.fixture(scope="module")
def base():
    return train(build, SOURCE, RECIPE).params


@pytest.fixture(scope="module")
def gold():
    return without(CLASS, seed=50)


@pytest.fixture(scope="module")
def references(base):
    found = ClassReferences()
    others = [label for label in range(10) if label != CLASS]
    for label in class_references.missing(found, others, number=NUM_REFERENCES, seed=0):
        found = class_references.add(build, SOURCE, RECIPE, found, label=label, base=base)
    return found


def ask(base, params, references, guarantee="approximate"):
    """Return the report, and the probes among the checks that refused."""
    manifest = SOURCE.manifest
    rows, holdout = manifest.positions("train"), manifest.positions("holdout")
    is_gone = manifest.labels[rows] == CLASS
    report = audit(
        AuditInput(
            build=build,
            num_classes=10,
            base_params=base,
            params=params,
            groups=(ForgetGroup("class", (CLASS,), SampleSet(SOURCE, rows[is_gone])),),
            retain=SampleSet(SOURCE, rows[~is_gone]),
            unseen=SampleSet(SOURCE, holdout[1::2]),
            tuning=SampleSet(SOURCE, holdout[0::2]),
            class_references=references,
            guarantee=guarantee,
        )
    )
    return report, {each.name for each in report.checks if each.is_decided and not each.passed} & PROBES


def masked(params, amount=-1e4):
    """Return the model with a constant on the class's output."""
    return {**params, "head.bias": params["head.bias"] + amount * torch.eye(10)[CLASS]}


def with_a_fresh_head(base, gold):
    """Return the base model's features under a last layer that learned all classes but one."""
    head = linear_head.find(build(), SOURCE.input_shape)
    rows = SOURCE.manifest.positions("train")
    samples = SampleSet(SOURCE, rows[SOURCE.manifest.labels[rows] != CLASS])
    features = linear_head.features(build(), base, samples, head)
    layer = torch.nn.Linear(features.shape[1], 10)
    layer.load_state_dict({"weight": gold["head.weight"] * 0, "bias": gold["head.bias"] * 0})
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(layer(features), samples.labels).backward()
        optimiser.step()
    return {**base, "head.weight": layer.weight.detach(), "head.bias": layer.bias.detach()}


def test_a_model_without_the_class_passes_with_references_and_stays_open_without(base, gold, references):
    judged, refused = ask(base, gold, references)
    open_, _ = ask(base, gold, None)

    assert (judged.verdict.outcome, refused) == ("pass", set())
    assert open_.verdict.outcome == "inconclusive"


def test_every_probe_refuses_the_original(base, references):
    report, refused = ask(base, masked(base, 1e-3), references)

    assert report.verdict.outcome == "fail"
    assert refused == PROBES


def test_a_mask_is_brought_back_by_a_constant_and_by_relearning(base, references):
    _, refused = ask(base, masked(base), references)

    assert refused == {"rescue", "relearning"}


def test_a_fresh_last_layer_on_old_features_is_seen_by_relearning_alone(base, gold, references):
    candidate = with_a_fresh_head(base, gold)

    report, refused = ask(base, candidate, references)
    open_, _ = ask(base, candidate, None)

    assert (report.verdict.outcome, refused) == ("fail", {"relearning"})
    assert open_.verdict.outcome == "inconclusive"


def test_the_report_shows_the_curves_beside_both_ends(base, gold, references):
    report, _ = ask(base, gold, references)

    (record,) = report.to_json()["resurrection"]
    by_name = {each["name"]: each for each in record["probes"]}
    assert {*by_name} == PROBES
    assert np.mean(by_name["relearning"]["candidate"]) < np.mean(by_name["relearning"]["masked"])
    assert all(each["reference"] is not None for each in record["probes"])


@pytest.mark.parametrize("claim", ["exact", "certified", "suppressed"])
def test_other_claims_are_not_probed(base, gold, references, claim):
    report, _ = ask(base, gold, references, guarantee=claim)

    assert report.resurrections == ()
    assert not PROBES & {each.name for each in report.checks}
