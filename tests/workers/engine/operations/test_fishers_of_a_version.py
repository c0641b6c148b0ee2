"""A version's Fishers: taken once, carried over without what was forgotten, taken anew off the path."""

import itertools
from dataclasses import replace

import pytest
import torch

from service.core.ledger.pseudonyms import Pseudonymiser
from tests.fixtures.benches import A_CLASS, NUM_CLASSES, Rows, bench, quiet, weights
from workers.engine import fisher_files
from workers.engine.fisher_files import Family
from workers.engine.messages import Carry, Group, Prepare, Refresh
from workers.engine.operations import fisher_pass
from workers.engine.operations.carrying import carry
from workers.engine.operations.informing import Informant
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.workbench import CODES, WEIGHTS
from workers.numerics.fisher import diagonal_fisher
from workers.preparation import fishers, prepared

NUM_TRAINED = A_CLASS - 1  # of a class; one of its images is held out


@pytest.fixture
def first(tmp_path):
    """A bench and the files of version 1."""
    table = bench(tmp_path / "store")
    upload = table.keep(WEIGHTS, weights())
    call = Prepare(
        model=table.spec,
        weights_sha256=upload.sha256,
        excluded=(),
        lineage_path=str(tmp_path / "rows"),
    )
    return table, prepare(table, call, Pseudonymiser(b"k" * 32), quiet).files


def carried(table, base, group, *, is_retrained=False):
    """Publish other weights on a base after forgetting a group."""
    call = Carry(
        model=table.spec,
        base=base,
        weights=table.keep(WEIGHTS, weights(seed=1), is_public=True),
        groups=(group,),
        is_retrained=is_retrained,
        forgotten_classes=(),
        forgotten_positions=(),
        guarantee="approximate",
    )
    return carry(table, call, quiet).files


def refreshed(table, base, *, classes=(), positions=()):
    asked = Refresh(
        model=table.spec, base=base, forgotten_classes=classes, forgotten_positions=tuple(positions)
    )
    public = [file for file in base if file.is_public]
    return (*public, *refresh(table, asked, quiet).files)


def bench_like(table):
    """The same bench with rows of its own, so that reading them leaves no trace."""
    return replace(table, source=Rows())


def names(files):
    return {file.name for file in files}


def own_of(table, label, *, without=(), at=None):
    """The Fisher of a class as the oracle takes it, at version 1's weights unless others are given."""
    known = prepared.known(table.source, None, excluded=torch.tensor([*without], dtype=torch.int64).numpy())
    rows = (known.learned.labels == label).nonzero()[:, 0].numpy()
    return diagonal_fisher(table.build(), at or weights(), known.learned.take(rows).batches(64))


def test_preparation_keeps_the_sum_and_each_class_compact(first):
    table, files = first

    kept = fisher_files.find(table, files, Family.CLASS)

    assert kept.counts == dict.fromkeys(range(NUM_CLASSES), NUM_TRAINED) and kept.has_own
    stored = table.tensors(kept.own[2].sha256)
    assert {tensor.dtype for tensor in stored.values()} == {fishers.COMPACT}
    oracle = own_of(table, 2)
    for name, mean in kept.information(table).fetch(2).items():
        torch.testing.assert_close(mean, oracle[name], rtol=2**-8, atol=0)  # bfloat16 has 8 binary digits
    whole = kept.information(table).whole()
    expected = sum(NUM_TRAINED * table.tensors(kept.own[c].sha256)["head.bias"].double() for c in range(4))
    torch.testing.assert_close(whole["head.bias"], expected, rtol=1e-14, atol=0)


def test_a_forgotten_class_leaves_the_sum_and_takes_its_own_with_it_without_any_training_data(first):
    table, files = first
    table.source.rows_read.clear()

    after = carried(table, files, Group(kind="class", classes=(3,)))

    assert table.source.rows_read <= {*table.source.manifest.positions("holdout").tolist()}
    kept, before = (fisher_files.find(table, each, Family.CLASS) for each in (after, files))
    assert kept.counts.keys() == kept.own.keys() == {0, 1, 2}
    assert kept.weights_sha256 == before.weights_sha256
    left = before.information(table).without([3])
    assert all(torch.equal(table.tensors(kept.whole.sha256)[name], left[name]) for name in left)
    assert fisher_files.find(table, after, Family.CODE).counts.keys() == {0, 1, 2}
    assert CODES in names(after)


def test_forgotten_samples_take_every_fisher_that_holds_them_along(first):
    table, files = first

    after = carried(table, files, Group(kind="samples", positions=(0, 5)))

    assert fisher_files.find(table, after, Family.CLASS) is None
    assert fisher_files.find(table, after, Family.CODE).has_own


def test_a_retrained_version_starts_without_any(first):
    table, files = first

    after = carried(table, files, Group(kind="class", classes=(3,)), is_retrained=True)

    assert not any("fisher" in name for name in names(after)) and CODES in names(after)


def test_a_refresh_takes_the_classes_at_the_new_weights_and_reads_nothing_forgotten(first):
    table, files = first
    after = carried(table, files, Group(kind="samples", positions=(0, 5)))
    table.source.rows_read.clear()

    fresh = refreshed(table, after, positions=(0, 5))

    assert not table.source.rows_read & {0, 5}
    kept = fisher_files.find(table, fresh, Family.CLASS)
    new = next(file.sha256 for file in after if file.name == WEIGHTS)
    assert kept.weights_sha256 == new and kept.counts[0] == NUM_TRAINED - 1
    oracle = own_of(table, 0, without=(0, 5), at=weights(seed=1))
    for name, mean in kept.information(table).fetch(0).items():
        torch.testing.assert_close(mean, oracle[name], rtol=2**-8, atol=0)


def test_a_refresh_leaves_the_codes_fishers_at_the_weights_as_they_were_trained(first):
    table, files = first
    after = carried(table, files, Group(kind="class", classes=(3,)))

    fresh = refreshed(table, after, classes=(3,))

    codes = {file.sha256 for file in fisher_files.files_of(after, Family.CODE)}
    assert {file.sha256 for file in fisher_files.files_of(fresh, Family.CODE)} == codes


def test_a_refresh_after_a_class_keeps_the_classes_as_trained_and_adds_the_sum_of_now(first):
    table, files = first
    after = carried(table, files, Group(kind="class", classes=(3,)))

    fresh = refreshed(table, after, classes=(3,))

    kept = fisher_files.find(table, fresh, Family.CLASS)
    assert kept == fisher_files.find(table, after, Family.CLASS)
    now = next(file.sha256 for file in after if file.name == WEIGHTS)
    current = fisher_files.find(table, fresh, Family.CURRENT)
    assert (current.weights_sha256, current.own) == (now, {})
    known = prepared.known(table.source, None, classes=[0, 1, 2])
    table.source.rows_read.clear()
    told = Informant(table, weights(seed=1), now, fresh).inform(
        Family.CLASS, known.learned, known.classes, must_be_fresh=True
    )
    oracle = sum(
        NUM_TRAINED * own_of(bench_like(table), c, at=weights(seed=1))["head.bias"].double() for c in range(3)
    )
    torch.testing.assert_close(told.whole()["head.bias"], oracle, rtol=1e-6, atol=0)
    assert not table.source.rows_read, "the sum was taken before anyone asked"
    assert (
        fisher_files.find(table, carried(table, fresh, Group(kind="class", classes=(2,))), Family.CURRENT)
        is None
    )


def test_a_refresh_of_what_is_fresh_computes_nothing(first):
    table, files = first
    table.source.rows_read.clear()

    fresh = refreshed(table, files)

    assert names(fresh) == names(files)
    assert not table.source.rows_read & {*table.source.manifest.positions("train").tolist()}


def test_above_the_bound_only_the_sum_is_kept_and_a_class_is_computed_when_asked_for(tmp_path):
    table = bench(tmp_path / "store", fisher_bytes=0)
    upload = table.keep(WEIGHTS, weights())
    call = Prepare(
        model=table.spec, weights_sha256=upload.sha256, excluded=(), lineage_path=str(tmp_path / "rows")
    )
    files = prepare(table, call, Pseudonymiser(b"k" * 32), quiet).files
    kept = fisher_files.find(table, files, Family.CLASS)
    known = prepared.known(table.source, None)

    told = Informant(table, weights(), upload.sha256, files).inform(
        Family.CLASS, known.learned, known.classes, must_be_fresh=True
    )

    assert kept.own == {}
    oracle = own_of(table, 1)
    assert all(torch.equal(told.fetch(1)[name], oracle[name]) for name in oracle)
    others = sum(NUM_TRAINED * own_of(table, c)["head.weight"].double() for c in (0, 2, 3))
    torch.testing.assert_close(told.without([1])["head.weight"], others, rtol=1e-9, atol=1e-18)
    after = carried(table, files, Group(kind="class", classes=(1,)))
    assert fisher_files.find(table, after, Family.CLASS) is None


@pytest.mark.parametrize("must_be_fresh", [True, False])
def test_fishers_of_other_weights_do_for_classes_but_not_for_samples(first, must_be_fresh):
    table, files = first
    after = carried(table, files, Group(kind="class", classes=(3,)))
    known = prepared.known(table.source, None, classes=[0, 1, 2])
    now = next(file.sha256 for file in after if file.name == WEIGHTS)

    told = Informant(table, weights(seed=1), now, after).inform(
        Family.CLASS, known.learned, known.classes, must_be_fresh=must_be_fresh
    )

    at = weights(seed=1 if must_be_fresh else 0)
    torch.testing.assert_close(
        told.fetch(0)["head.weight"], own_of(table, 0, at=at)["head.weight"], rtol=2**-8, atol=0
    )
    assert told.counts == dict.fromkeys(range(3), NUM_TRAINED)


def test_nothing_is_read_before_a_method_asks(first):
    table, _ = first
    known = prepared.known(table.source, None)
    table.source.rows_read.clear()

    told = Informant(table, weights(), None, ()).inform(
        Family.CLASS, known.learned, known.classes, must_be_fresh=True
    )

    assert told.num_samples == NUM_CLASSES * NUM_TRAINED and not table.source.rows_read
    assert told.fetch(2) is told.fetch(2)


@pytest.mark.parametrize("fisher_bytes", [0, 1 << 30])
def test_a_pass_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch, fisher_bytes):
    monkeypatch.setattr(fisher_pass, "CHECKPOINT_SECONDS", 0.0)
    whole, cut = (bench(tmp_path / name, fisher_bytes=fisher_bytes) for name in ("whole", "cut"))

    def take(table, progress):
        known = prepared.known(table.source, None)
        return fisher_pass.take(
            table, Family.CLASS, weights(), "0" * 64, known.learned, known.classes, progress
        )

    calls = itertools.count()

    def die(_fraction):
        if next(calls) == 2:
            raise KeyboardInterrupt

    uninterrupted = take(whole, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        take(cut, die)
    cut.source.rows_read.clear()
    resumed = take(cut, lambda _: None)

    assert {(f.name, f.sha256) for f in resumed} == {(f.name, f.sha256) for f in uninterrupted}
    assert len(cut.source.rows_read) == 2 * NUM_TRAINED, "the first two classes are not read again"
    assert list((tmp_path / "cut").rglob("*checkpoint*")) == []


def test_a_checkpoint_whose_files_were_purged_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(fisher_pass, "CHECKPOINT_SECONDS", 0.0)
    table = bench(tmp_path)
    known = prepared.known(table.source, None)
    calls = itertools.count()

    def die(_fraction):
        if next(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fisher_pass.take(table, Family.CLASS, weights(), "0" * 64, known.learned, known.classes, die)
    for digest in [*table.store.digests(table.spec.space)]:
        table.store.delete(table.spec.space, digest)

    files = fisher_pass.take(
        table, Family.CLASS, weights(), "0" * 64, known.learned, known.classes, lambda _: None
    )

    assert all(table.has(file.sha256) for file in files)
    assert fisher_files.find(table, files, Family.CLASS).has_own


def test_the_kept_sum_survives_its_checkpoint_as_it_was(tmp_path):
    table = bench(tmp_path)
    checkpoint = fisher_files.Checkpoint(table.store, table.spec.space, Family.CODE, "1" * 64)
    tally = fishers.Tally()
    tally.add(2, 7, {"w": torch.tensor([1e-30, 3.0])})
    own = {2: table.keep("prepared/code_fisher/2.safetensors", {"w": torch.ones(2)})}

    checkpoint.write(tally, own)

    again, files = checkpoint.read()
    assert again.counts == {2: 7} and files == own and torch.equal(again.whole["w"], tally.whole["w"])
    checkpoint.remove()
    assert checkpoint.read()[0].counts == {}


def test_the_information_of_what_has_no_samples_is_none(first):
    table, files = first

    assert Informant(table, weights(), None, files).inform(Family.CODE, None, (0, 1)) is None
