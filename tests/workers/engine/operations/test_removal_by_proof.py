"""A head that forgets by proof on the engine's bench: from preparation to certificates and a new training."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import torch

from service.core.ledger import certificate, claims, keys
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.ledger.signing import Signer
from tests.fixtures.benches import RECIPE, bench, quiet, weights
from workers.engine.messages import Audit, Carry, Group, Prepare, Refresh, Step, Unlearn
from workers.engine.operations import heads
from workers.engine.operations.auditing import audit
from workers.engine.operations.carrying import carry
from workers.engine.operations.forgetting import unlearn
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.workbench import HEAD, WEIGHTS
from workers.numerics.params import write_file
from workers.preparation import initial, training
from workers.preparation.recipe import HeadRecipe
from workers.preparation.training import TrainingError
from workers.unlearning import registry
from workers.unlearning.errors import BudgetSpentError, MissingNeedError

METHODS = registry.discover()
LOOSE = {"movement": 0.0, "mean_drop": 1.0, "worst_class_drop": 1.0, "forgotten_accuracy": 1.0}
PUBLIC = weights(seed=3)


@pytest.fixture
def table(tmp_path):
    """A bench whose recipe trains a head on public weights that the operator has."""
    digest = initial.digest_of(bench(tmp_path).build(), PUBLIC)
    made = bench(
        tmp_path,
        recipe=replace(RECIPE, code_mix=0.0, initial=digest, head=HeadRecipe(l2=0.05, sigma=0.05)),
    )
    made.initial_dir.mkdir()
    write_file(made.initial_dir / f"{digest}.safetensors", PUBLIC)
    return made


def prepared(table, params, tmp_path):
    upload = table.keep(WEIGHTS, params)
    call = Prepare(
        model=table.spec, weights_sha256=upload.sha256, excluded=(), lineage_path=str(tmp_path / "rows")
    )
    return prepare(table, call, Pseudonymiser(b"p" * 32), quiet).files


@pytest.fixture
def first(table, tmp_path):
    """The files of version 1, trained as `lethe train` trains: with a key that nobody knows later."""
    found = training.train(table.build, table.source, table.recipe, initial=PUBLIC)
    return prepared(table, found.params, tmp_path)


def forgotten(table, base, positions, *, method="certified_removal", earlier=(), parameters=None):
    step = Step(kind="samples", positions=positions, method=method, parameters=parameters or {})
    call = Unlearn(
        model=table.spec,
        base=base,
        steps=(step,),
        forgotten_classes=(),
        forgotten_positions=earlier,
        seed=0,
    )
    return unlearn(table, call, METHODS, quiet)


def published(table, base, reply, positions, *, earlier=()):
    call = Carry(
        model=table.spec,
        base=base,
        weights=reply.weights,
        left=reply.left,
        groups=(Group(kind="samples", positions=positions),),
        is_retrained=reply.steps[0].guarantee == "exact",
        forgotten_classes=(),
        forgotten_positions=earlier,
        guarantee=reply.steps[0].guarantee,
    )
    return carry(table, call, quiet).files


def refreshed(table, base, positions):
    call = Refresh(model=table.spec, base=base, forgotten_classes=(), forgotten_positions=positions)
    return (*(file for file in base if file.is_public), *refresh(table, call, quiet).files)


def test_preparation_keeps_the_state_in_private_and_another_upload_is_refused(table, first, tmp_path):
    assert [file.is_public for file in first if file.name == HEAD] == [False]
    with pytest.raises(TrainingError, match="frozen weights"):
        prepared(table, weights(seed=4), tmp_path)


def test_without_the_public_weights_at_hand_no_proof_is_offered(table, first, tmp_path):
    elsewhere = replace(table, initial_dir=tmp_path / "nowhere")

    files = prepared(elsewhere, table.weights(first[0].sha256), tmp_path)

    assert not any(file.name == HEAD for file in files)


def test_a_recipe_that_names_no_public_weights_is_refused(table, first, tmp_path):
    vague = replace(table, recipe=replace(table.recipe, initial=None))

    with pytest.raises(TrainingError, match="name the `initial`"):
        prepared(vague, table.weights(first[0].sha256), tmp_path)


def test_the_budget_goes_from_version_to_version_and_the_samples_go_with_the_request(table, first):
    reply = forgotten(table, first, (2,))
    second = refreshed(table, published(table, first, reply, (2,)), (2,))
    table.source.rows_read.clear()

    again = forgotten(table, second, (5, 6), earlier=(2,))

    one, two = reply.steps[0].parameters, again.steps[0].parameters
    assert two["shift_spent"] == pytest.approx((one["shift"] ** 2 + two["shift"] ** 2) ** 0.5)
    assert two["num_removed"] == 3
    assert not table.source.rows_read, "what the head needs of the samples was kept"
    left = heads.read(table, again.left)
    assert not set(left.positions.tolist()) & {2, 5, 6}


def test_what_is_published_is_near_the_retrained_head_and_its_extractor_is_the_public_one(table, first):
    reply = forgotten(table, first, (2, 9))

    found = table.weights(reply.weights.sha256)
    exact = table.weights(forgotten(table, first, (2, 9), method="retrain").weights.sha256)
    far = torch.cat([(found[name] - exact[name]).flatten() for name in ("head.weight", "head.bias")])
    noise = table.recipe.head.sigma * 2**0.5  # two draws
    assert 0 < float(far.norm()) < noise * (far.numel() ** 0.5 + 4)
    assert all(torch.equal(found[name], PUBLIC[name]) for name in found if not name.startswith("head"))


def test_another_methods_version_has_no_proof_until_it_is_retrained(table, first):
    spent = published(table, first, forgotten(table, first, (1,)), (1,))
    other = next(file for file in first if file.name == WEIGHTS)
    moved = {
        name: tensor * 1.1 if tensor.is_floating_point() else tensor
        for name, tensor in table.weights(other.sha256).items()
    }
    by_another = tuple(
        table.keep(WEIGHTS, moved, is_public=True) if file.name == WEIGHTS else file
        for file in spent
        if file.name != HEAD
    )
    by_another = refreshed(table, by_another, (1,))

    with pytest.raises(MissingNeedError, match="retrain"):
        forgotten(table, by_another, (2,), earlier=(1,))

    exact = forgotten(table, by_another, (2,), method="retrain", earlier=(1,))
    anew = refreshed(table, published(table, by_another, exact, (2,), earlier=(1,)), (1, 2))
    reply = forgotten(table, anew, (3,), earlier=(1, 2))
    assert reply.steps[0].parameters["num_removed"] == 1
    assert reply.steps[0].parameters["shift_spent"] == reply.steps[0].parameters["shift"]


def test_a_spent_budget_is_an_error_that_leads_to_the_next_rung(table, first):
    state = replace(heads.read(table, first), spent=1.0)
    base = (*(file for file in first if file.name != HEAD), *heads.keep(table, state))

    with pytest.raises(BudgetSpentError) as caught:
        forgotten(table, base, (2,))

    assert caught.value.code == "budget_spent"


@pytest.mark.parametrize("method", ["certified_removal", "descent_to_delete"])
def test_the_claim_passes_the_audit_and_reaches_a_certificate_with_its_bounds(table, first, tmp_path, method):
    reply = forgotten(table, first, (2, 9), method=method)
    call = Audit(
        model=table.spec,
        base=tuple(first),
        weights_sha256=reply.weights.sha256,
        groups=(Group(kind="samples", positions=(2, 9)),),
        forgotten_classes=(),
        forgotten_positions=(),
        guarantee=reply.steps[0].guarantee,
        limits=LOOSE,
        seed=0,
    )

    report = audit(table, call, quiet).report

    assert (report["verdict"], report["guarantee"]) == ("pass", "certified")
    step = json.loads(reply.steps[0].model_dump_json())
    claim = claims.Claim(
        request="0" * 64,
        model="toy",
        base_version=1,
        version=2,
        target=claims.Target("samples", 2),
        method=claims.Method(
            step["method"], step["method_version"], step["parameters"], 0, claims.Guarantee.CERTIFIED, ()
        ),
        audit=claims.Audit(report["suite"], report["verdict"], ()),
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        completed_at=datetime(2026, 1, 2, tzinfo=UTC),
        files=(claims.File(WEIGHTS, reply.weights.sha256),),
    )
    signer = Signer("lethe.test/log", keys.load_or_create_signing_key(tmp_path / "ledger.key"))
    read = certificate.verify(certificate.sign(claim, signer), signer.verifier)
    assert read == claim and "beyond epsilon 1 and delta 0.00001" in read.statement
