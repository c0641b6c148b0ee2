"""On trained networks: canaries that are still known are refused, and models retrained without them are not.

Eleven mislabelled digits, a bank of sixteen models. The full calibration, with intervals, is
`python -m benchmarks.audit_samples`.
"""

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from benchmarks import audit_banks, stacks
from benchmarks.audit_banks import NOTHING
from benchmarks.audit_ways import MUST_FAIL
from benchmarks.memorised_sets import Setup
from benchmarks.memorised_ways import RECIPE
from benchmarks.stacks import Data
from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.audit.reference.bank import ReferenceBank
from workers.numerics.batches import SampleSet

NUM_MEMBERS, NUM_ORIGINALS, NUM_GOLDS = 16, 4, 8
FIRST_GOLD = 1000


@dataclass(frozen=True)
class Trained:
    setup: Setup
    bank: ReferenceBank
    originals: dict
    golds: dict

    @property
    def canaries(self):
        return self.setup.forget_sets["canaries"]

    def judged(self, stack, forgotten=None):
        rows = self.canaries if forgotten is None else forgotten
        says = (self.bank.control_positions, self.bank.control_labels)
        new, base = (audit_banks.says(self.setup, each, *says) for each in (stack, self.originals))
        return audit_banks.judged(self.setup, self.bank, [rows] * len(new.samples), new, base)

    def report(self, stack, **changes):
        """Audit the first model of a stack as an approximate claim."""
        holdout = self.setup.source.manifest.positions("holdout")
        given = AuditInput(
            build=stacks.network,
            num_classes=stacks.NUM_CLASSES,
            base_params=stacks.member(self.originals, 0),
            params=stacks.member(stack, 0),
            groups=(ForgetGroup("samples", (), self.setup.samples(self.canaries)),),
            retain=self.setup.samples(self.setup.bystanders),
            unseen=SampleSet(self.setup.source, holdout[1::2]),
            bank=self.bank,
        )
        return suite.audit(dataclasses.replace(given, **changes))


@pytest.fixture(scope="module")
def trained():
    setup = Setup.of(1)
    kept = setup.train.without(setup.forget_sets["canaries"])
    return Trained(
        setup=setup,
        bank=audit_banks.grown(setup, NUM_MEMBERS),
        originals=stacks.train(setup.train, RECIPE, range(NUM_ORIGINALS)),
        golds=stacks.train(kept, RECIPE, range(FIRST_GOLD, FIRST_GOLD + NUM_GOLDS)),
    )


def test_originals_are_refused(trained):
    assert all(found.is_refused and found.value > 0 for found in trained.judged(trained.originals))


@pytest.mark.parametrize("way", MUST_FAIL, ids=lambda way: way.name)
def test_what_only_looks_like_forgetting_is_refused(trained, way):
    stack = way.forget(trained.setup, trained.originals, range(NUM_ORIGINALS), trained.canaries, NOTHING)

    assert all(found.is_refused for found in trained.judged(stack))


def test_ordinary_samples_that_were_driven_off_are_refused_on_the_other_side(trained):
    rows = trained.setup.forget_sets["random"]
    labels = trained.setup.train.labels.clone()
    labels[torch.from_numpy(rows)] = (labels[torch.from_numpy(rows)] + 1) % stacks.NUM_CLASSES
    shortly = dataclasses.replace(RECIPE, epochs=20)
    data = Data(trained.setup.train.images, labels)

    driven_off = stacks.train(data, shortly, range(NUM_ORIGINALS), trained.originals)

    assert all(found.is_refused and found.value < 0 for found in trained.judged(driven_off, rows))


def test_retrained_models_are_cleared(trained):
    cleared = [not found.is_refused and found.doubt(0.5) is None for found in trained.judged(trained.golds)]

    assert sum(cleared) >= NUM_GOLDS - 1


def test_the_whole_audit_follows_the_bank(trained):
    by_noise = MUST_FAIL[0].forget(
        trained.setup, trained.originals, range(NUM_ORIGINALS), trained.canaries, NOTHING
    )

    gold, noise = trained.report(trained.golds), trained.report(by_noise)
    without_bank = trained.report(trained.golds, bank=None)

    assert gold.verdict.outcome == "pass"
    assert noise.verdict.outcome == "fail"
    assert "reference" in {check.name for check in noise.checks if check.is_decided and not check.passed}
    assert without_bank.verdict.outcome != "pass"
    assert gold.to_json()["reference"]["members"] == NUM_MEMBERS
