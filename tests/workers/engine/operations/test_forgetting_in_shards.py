"""A model trained in shards, from upload to second forgetting: exact to the byte, and no needless work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.core.ledger.pseudonyms import Pseudonymiser
from tests.fixtures.benches import RECIPE, bench, quiet
from workers.engine.messages import Audit, Carry, Group, Prepare, Refresh, Step, Sweep, Unlearn, UnlearnReply
from workers.engine.operations.auditing import audit
from workers.engine.operations.carrying import carry
from workers.engine.operations.forgetting import unlearn
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.operations.replaying import STATES
from workers.engine.operations.sweeping import sweep
from workers.engine.workbench import CONFIG, WEIGHTS
from workers.numerics import architectures, metrics
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.digits import open_digits
from workers.preparation import shards, training
from workers.unlearning import registry
from workers.unlearning.errors import MissingNeedError

METHODS = registry.discover()
SHARDED = replace(RECIPE, epochs=3, shards=2, slices=2)


@pytest.fixture
def table(tmp_path):
    """A bench whose recipe has two shards of two slices."""
    return bench(tmp_path, recipe=SHARDED)


def trained(table, positions=(), *, slices=None):
    """Return the weights that training from scratch gives without some positions."""
    return training.train(
        table.build_constituent, table.source, table.recipe, excluded=np.array(positions), slices=slices
    ).params


def prepared(table, tmp_path: Path):
    """Return the files of version 1."""
    upload = table.keep(WEIGHTS, trained(table))
    call = Prepare(
        model=table.spec, weights_sha256=upload.sha256, excluded=(), lineage_path=str(tmp_path / "rows")
    )
    return prepare(table, call, Pseudonymiser(b"k" * 32), quiet).files


def forgotten(table, base, positions, *, method="sisa", before=(), classes=()):
    """Forget some positions and classes; return the reply."""
    kind = "class" if classes else "samples"
    call = Unlearn(
        model=table.spec,
        base=base,
        steps=(Step(kind=kind, classes=classes, positions=positions, method=method),),
        forgotten_classes=(),
        forgotten_positions=before,
        seed=0,
    )
    return unlearn(table, call, METHODS, quiet)


def published(table, base, reply, positions, *, before=(), is_retrained=True):
    """Return the files of the version that follows."""
    call = Carry(
        model=table.spec,
        base=base,
        weights=reply.weights,
        groups=(Group(kind="samples", positions=positions),),
        is_retrained=is_retrained,
        forgotten_classes=(),
        forgotten_positions=before,
        guarantee="exact" if is_retrained else "approximate",
    )
    return carry(table, call, quiet).files


def in_shard(table, shard, number=0):
    """Return one position of a slice."""
    return int(shards.deal(table.source.manifest, table.recipe)[shard][number][0])


def same(table, reply, expected):
    found = table.weights(reply.weights.sha256)
    return found.keys() == expected.keys() and all(torch.equal(found[one], expected[one]) for one in found)


def share(reply):
    return reply.steps[0].diagnostics["share_of_training"]


@pytest.mark.parametrize("method", ["sisa", "retrain"])
def test_it_forgets_to_the_bytes_of_a_training_without_the_sample(table, tmp_path, method):
    base = prepared(table, tmp_path)
    position = in_shard(table, 1)

    reply = forgotten(table, base, (position,), method=method)

    assert same(table, reply, trained(table, [position]))
    assert reply.steps[0].guarantee == "exact"


def test_only_the_samples_shard_is_read(table, tmp_path):
    base = prepared(table, tmp_path)
    position = in_shard(table, 1)
    table.source.rows_read.clear()

    reply = forgotten(table, base, (position,))

    own = np.concatenate(shards.deal(table.source.manifest, table.recipe, np.array([position]))[1])
    assert table.source.rows_read == {*own.tolist()}
    assert reply.steps[0].diagnostics["num_trained"] == 1
    assert share(reply) == pytest.approx(0.5, abs=0.05)


def test_kept_slices_make_it_cheaper_still(table, tmp_path):
    base = prepared(table, tmp_path)
    trained(table, slices=table.slices)
    position = in_shard(table, 1, number=1)

    reply = forgotten(table, base, (position,))

    assert same(table, reply, trained(table, [position]))
    assert 0.25 < share(reply) < 0.4  # 2/3 of one of two constituents


def test_the_next_version_takes_over_from_this_one(table, tmp_path):
    first, second = in_shard(table, 0), in_shard(table, 1)
    base = prepared(table, tmp_path)
    after_first = published(table, base, forgotten(table, base, (first,)), (first,))

    reply = forgotten(table, after_first, (second,), before=(first,))

    assert same(table, reply, trained(table, [first, second]))
    assert share(reply) == pytest.approx(0.5, abs=0.05)


def test_a_version_that_another_method_changed_gives_nothing_to_take_over(table, tmp_path):
    first, second = in_shard(table, 0), in_shard(table, 1)
    base = prepared(table, tmp_path)
    changed = UnlearnReply(weights=table.keep(WEIGHTS, trained(table, [5]), is_public=True), steps=())
    after_first = published(table, base, changed, (first,), is_retrained=False)

    reply = forgotten(table, after_first, (second,), before=(first,))

    assert STATES not in {file.name for file in after_first}
    assert same(table, reply, trained(table, [first, second]))
    assert reply.steps[0].diagnostics["num_trained"] == 2


def test_a_sample_barred_since_the_version_was_made_is_trained_out_too(table, tmp_path):
    asked, barred = in_shard(table, 0), in_shard(table, 1)
    base = prepared(table, tmp_path)

    reply = forgotten(table, base, (asked,), before=(barred,))

    assert same(table, reply, trained(table, [asked, barred]))


def test_the_record_of_states_survives_a_refresh(table, tmp_path):
    base = prepared(table, tmp_path)
    call = Refresh(model=table.spec, base=base, forgotten_classes=(), forgotten_positions=())

    files = refresh(table, call, quiet).files

    assert STATES in {file.name for file in files if not file.is_public}


def test_serving_is_told_how_to_build_the_ensemble(table, tmp_path):
    base = {file.name: file.sha256 for file in prepared(table, tmp_path)}

    described = table.read_json(base[CONFIG])["architecture"]

    model = architectures.build(**described)
    rows = SampleSet(table.source, np.arange(4))
    served, _ = metrics.logits_of(model, table.weights(base[WEIGHTS]), rows)
    expected, _ = metrics.logits_of(table.build(), table.weights(base[WEIGHTS]), rows)
    assert torch.equal(served, expected)


def test_a_model_without_shards_has_nothing_to_replay(tmp_path):
    plain = bench(tmp_path)
    base = (plain.keep(WEIGHTS, trained(plain)),)

    with pytest.raises(MissingNeedError, match="shards or slices"):
        forgotten(plain, base, (0,))


def test_states_that_saw_the_forgotten_are_swept_and_those_from_before_stay(table):
    trained(table, slices=table.slices)
    position = in_shard(table, 1, number=1)

    found = sweep(table, Sweep(model=table.spec, forgotten_positions=(position,))).files

    kept = {file.relative_to(table.slices_dir) for file in table.slices_dir.glob("*/*")}
    (gone,) = map(Path, found)
    assert gone in kept and len(kept) == 4
    (table.slices_dir / gone).unlink()
    after = sweep(table, Sweep(model=table.spec, forgotten_positions=(position,))).files
    assert after == ()


def test_what_forgetting_kept_is_not_swept(table, tmp_path):
    trained(table, slices=table.slices)
    position = in_shard(table, 0)
    forgotten(table, prepared(table, tmp_path), (position,))

    found = sweep(table, Sweep(model=table.spec, forgotten_positions=(position,))).files

    assert len(found) == 2  # both slices of the first shard as they were with the sample
    assert len([*table.slices_dir.glob("*/*")]) == 6


def test_digits_forget_a_person_and_a_class_and_pass_their_audits(tmp_path):
    recipe = replace(RECIPE, epochs=8, batch_size=32, learning_rate=0.1, shards=2, slices=2, code_mix=0.0)
    table = bench(tmp_path, recipe=recipe)
    spec = table.spec.model_copy(update={"arguments": {"width": 8}})
    table = replace(table, source=open_digits(), spec=spec)
    base = (table.keep(WEIGHTS, trained(table, slices=table.slices)),)
    person = tuple(table.source.manifest.positions("train")[20:23].tolist())

    for group in (Group(kind="samples", positions=person), Group(kind="class", classes=(3,))):
        reply = forgotten(table, base, group.positions, classes=group.classes)
        asked = Audit(
            model=table.spec,
            base=base,
            weights_sha256=reply.weights.sha256,
            groups=(group,),
            forgotten_classes=(),
            forgotten_positions=(),
            guarantee="exact",
            limits={},
            seed=0,
        )
        report = audit(table, asked, quiet).report
        assert report["verdict"] == "pass", report
