"""A log adds up to what the training did, never changes it, and is refused where it cannot be right."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.fixtures import recorded
from tests.fixtures.recorded import NOBODY, RECIPE, build_with_batch_norm, everybody, log_of, record
from workers.numerics import params, seeding
from workers.numerics.accounting import gradient_coefficients
from workers.preparation.checkpoints import Checkpoints
from workers.preparation.errors import RecordError
from workers.preparation.training import train
from workers.preparation.update_log import record_erasure, record_files
from workers.preparation.update_log.reading import open_log
from workers.preparation.update_log.recorder import Recorder
from workers.preparation.update_log.recording import Account, Granularity, Precision, Recording, layout_of
from workers.unlearning.errors import MissingNeedError

BY_SAMPLE = Recording()
BY_BATCH = Recording(Granularity.BATCH)
BY_STEP = Recording(Granularity.BATCH, Account.STEP)
TOLERANCE = {"atol": 2e-6, "rtol": 1e-5}  # records are float32


def initial(make=recorded.build):
    """The weights that the training drew."""
    with seeding.isolated(torch.device("cpu"), RECIPE.seed, "model"):
        return params.state_of(make())


def decay():
    """What is left of the initial weights when all gradients are taken out."""
    steps = 3 * RECIPE.epochs
    rates = [RECIPE.learning_rate * (1 + np.cos(np.pi * step / steps)) / 2 for step in range(steps)]
    return gradient_coefficients(rates, RECIPE.momentum, RECIPE.weight_decay)[1]


@pytest.mark.parametrize("recording", [BY_SAMPLE, BY_BATCH, BY_STEP], ids=["sample", "batch", "step"])
def test_recording_changes_no_byte_of_the_weights(tmp_path, recording):
    plain = train(recorded.build, recorded.source(), RECIPE)

    trained = record(tmp_path / "log", recording)

    assert params.to_bytes(trained.params) == params.to_bytes(plain.params)


@pytest.mark.parametrize("recording", [BY_SAMPLE, BY_BATCH], ids=["sample", "batch"])
def test_the_records_of_everybody_leave_nothing_but_the_decayed_initial_weights(tmp_path, recording):
    trained = record(tmp_path / "log", recording)

    sums = log_of(tmp_path / "log", trained).sum_of(everybody()).sums

    for name, start in initial().items():
        left = trained.params[name] - sums[name].double()
        torch.testing.assert_close(left, decay() * start, **TOLERANCE)


def test_the_steps_of_everybody_lead_back_to_the_initial_weights(tmp_path):
    trained = record(tmp_path / "log", BY_STEP, make=build_with_batch_norm)

    sums = log_of(tmp_path / "log", trained).sum_of(everybody()).sums

    start = initial(build_with_batch_norm)
    for name in sums:
        torch.testing.assert_close(trained.params[name] - sums[name], start[name], **TOLERANCE)
    assert not [name for name in sums if "running" in name]


def test_without_momentum_and_decay_a_step_and_its_gradient_say_the_same(tmp_path):
    plain = replace(RECIPE, momentum=0.0, weight_decay=0.0)
    asked = everybody()[:2]

    by_step = record(tmp_path / "step", BY_STEP, plain)
    by_tail = record(tmp_path / "tail", BY_BATCH, plain)

    step, tail = (
        log_of(tmp_path / name, trained).sum_of(asked).sums
        for name, trained in (("step", by_step), ("tail", by_tail))
    )
    assert all(torch.allclose(step[name], tail[name], **TOLERANCE) for name in step)


def test_a_sample_alone_in_its_batch_is_the_same_by_sample_and_by_batch(tmp_path):
    alone = replace(RECIPE, batch_size=1, epochs=1)
    order = torch.randperm(len(everybody()), generator=seeding.generator(RECIPE.seed, "order", 0))
    first = everybody()[order[:1].numpy()]
    by_sample = record(tmp_path / "sample", BY_SAMPLE, alone)
    by_batch = record(tmp_path / "batch", BY_BATCH, alone)

    one = log_of(tmp_path / "sample", by_sample).sum_of(first)
    other = log_of(tmp_path / "batch", by_batch).sum_of(first)

    assert one.num_records == other.num_records == 1
    assert all(torch.allclose(one.sums[name], other.sums[name], **TOLERANCE) for name in one.sums)


def test_samples_are_recorded_apart_and_add_up(tmp_path):
    log = log_of(tmp_path / "log", record(tmp_path / "log", BY_SAMPLE))
    first, second = everybody()[:1], everybody()[1:2]

    apart = [log.sum_of(positions).sums for positions in (first, second)]
    together = log.sum_of(everybody()[:2]).sums

    for name in together:
        torch.testing.assert_close(apart[0][name] + apart[1][name], together[name])
        assert not torch.equal(apart[0][name], apart[1][name])


def test_a_sample_whose_code_took_its_place_is_not_in_that_batch(tmp_path):
    always = replace(RECIPE, code_mix=1.0)
    by_sample, by_batch = (
        record(tmp_path / "sample", BY_SAMPLE, always),
        record(tmp_path / "batch", BY_BATCH, always),
    )

    for name, trained in (("sample", by_sample), ("batch", by_batch)):
        found = log_of(tmp_path / name, trained).sum_of(everybody())
        assert found.num_records == 0
        assert not any(one.any() for one in found.sums.values())


@pytest.mark.parametrize("granularity", Granularity)
def test_a_share_of_the_entries_holds_the_same_values_and_no_others(tmp_path, granularity):
    asked = everybody()[:1]
    whole = log_of(tmp_path / "all", record(tmp_path / "all", Recording(granularity))).sum_of(asked).sums
    part = Recording(granularity, fraction=0.3)

    found = log_of(tmp_path / "part", record(tmp_path / "part", part)).sum_of(asked)

    kept = torch.cat([one.flatten() for one in found.sums.values()])
    every = torch.cat([one.flatten() for one in whole.values()])
    if granularity is Granularity.SAMPLE:
        assert int((kept != 0).sum()) <= round(0.3 * len(every))
        assert torch.allclose(kept[kept != 0], every[kept != 0], **TOLERANCE)
    assert 0 < int((kept != 0).sum()) < len(every)


def test_the_last_layers_alone_are_recorded(tmp_path):
    trained = record(tmp_path / "log", Recording(last_layers=1))

    assert {*log_of(tmp_path / "log", trained).sum_of(everybody()).sums} == {"head.weight", "head.bias"}


@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.FLOAT16, 2e-3), (Precision.BFLOAT16, 2e-2)])
def test_half_precision_takes_half_the_room_and_keeps_the_sum(tmp_path, precision, tolerance):
    whole = log_of(tmp_path / "all", record(tmp_path / "all", BY_SAMPLE)).sum_of(everybody()).sums
    half = log_of(tmp_path / "half", record(tmp_path / "half", Recording(precision=precision)))

    found = half.sum_of(everybody()).sums

    sizes = [(tmp_path / name / "records.bin").stat().st_size for name in ("all", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    for name, expected in whole.items():
        assert (found[name] - expected).norm() <= tolerance * expected.norm() + 1e-6


def test_the_size_told_beforehand_is_the_size_of_the_files(tmp_path):
    for recording in (BY_SAMPLE, BY_BATCH):
        told, folder = [], tmp_path / recording.granularity
        train(recorded.build, recorded.source(), RECIPE, recorder=Recorder(folder, recording, told.append))

        assert told[0].num_bytes == sum(file.stat().st_size for file in folder.glob("*.bin"))


def test_a_log_that_does_not_fit_the_disk_is_refused_before_the_first_step(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    steps = []

    with pytest.raises(RecordError, match="the disk has 1,000"):
        record(tmp_path / "log", BY_SAMPLE, progress=steps.append)

    assert not steps and not [*tmp_path.glob("log/*")]


def test_a_disk_that_fills_up_meanwhile_ends_the_training_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(record_files.os, "pwrite", lambda handle, content, place: len(content) - 1)

    with pytest.raises(RecordError, match="the disk is full; make room"):
        record(tmp_path / "log", BY_SAMPLE)


def test_batch_norm_is_refused_by_sample_and_recorded_by_batch(tmp_path):
    with pytest.raises(RecordError, match="use group norm"):
        record(tmp_path / "sample", BY_SAMPLE, make=build_with_batch_norm)

    record(tmp_path / "batch", BY_BATCH, make=build_with_batch_norm)


def test_a_network_whose_samples_see_each_other_unnoticed_is_refused(tmp_path):
    class Centring(torch.nn.Linear):
        def forward(self, images):
            flat = images.flatten(1)
            return super().forward(flat - 0.5 * flat.mean(0))

    with pytest.raises(RecordError, match="see each other"):
        record(tmp_path / "log", BY_SAMPLE, make=lambda: Centring(16, 2))


def test_a_folder_that_holds_anything_else_is_refused(tmp_path):
    (tmp_path / "notes").write_text("mine")

    with pytest.raises(RecordError, match="empty folder"):
        record(tmp_path, BY_SAMPLE)


def test_a_log_that_ended_is_not_written_over(tmp_path):
    record(tmp_path / "log", BY_SAMPLE)

    with pytest.raises(RecordError, match="one that ended"):
        record(tmp_path / "log", BY_SAMPLE)


def test_a_training_that_ended_goes_on_from_its_last_checkpoint_to_the_same_log(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoint", every_seconds=0.0)
    first = record(tmp_path / "log", BY_SAMPLE, checkpoints=kept)
    before = log_of(tmp_path / "log", first).sum_of(everybody()).sums

    again = record(tmp_path / "log", BY_SAMPLE, checkpoints=kept)

    after = log_of(tmp_path / "log", again).sum_of(everybody()).sums
    assert all(torch.equal(after[name], before[name]) for name in before)


class Stopped(Exception):
    pass


def stop_after(share):
    def listen(done):
        if done >= share:
            raise Stopped

    return listen


@pytest.mark.parametrize("recording", [BY_SAMPLE, BY_BATCH, BY_STEP], ids=["sample", "batch", "step"])
def test_a_training_that_was_cut_short_goes_on_to_the_same_log(tmp_path, recording):
    whole = record(tmp_path / "whole", recording)
    kept = Checkpoints(tmp_path / "checkpoint", every_seconds=0.0)
    with pytest.raises(Stopped):
        record(tmp_path / "log", recording, checkpoints=kept, progress=stop_after(0.4))
    behind = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(Stopped):
        record(tmp_path / "log", recording, checkpoints=kept, progress=stop_after(0.7))
    (tmp_path / "checkpoint").write_bytes(behind)  # the log is ahead of what the training goes on from

    trained = record(tmp_path / "log", recording, checkpoints=kept)

    assert trained.resumed_at > 0
    expected = log_of(tmp_path / "whole", whole).sum_of(everybody()[:3]).sums
    found = log_of(tmp_path / "log", trained).sum_of(everybody()[:3]).sums
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_training_that_was_cut_short_leaves_a_log_that_nobody_can_use(tmp_path):
    with pytest.raises(Stopped):
        record(tmp_path / "log", BY_SAMPLE, progress=stop_after(0.4))

    assert open_log(tmp_path / "log", "0" * 64, NOBODY) is None


def test_a_checkpoint_whose_log_is_gone_is_refused(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoint", every_seconds=0.0)
    with pytest.raises(Stopped):
        record(tmp_path / "log", BY_SAMPLE, checkpoints=kept, progress=stop_after(0.4))
    shutil.rmtree(tmp_path / "log")

    with pytest.raises(RecordError, match="that the checkpoint has done"):
        record(tmp_path / "log", BY_SAMPLE, checkpoints=kept)


def test_a_torn_record_is_refused_and_the_others_are_read(tmp_path):
    trained = record(tmp_path / "log", BY_SAMPLE)
    file = tmp_path / "log" / "records.bin"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)

    log = log_of(tmp_path / "log", trained)

    assert log.sum_of(everybody()[1:]).num_records == len(everybody()) - 1
    with pytest.raises(MissingNeedError, match="cut short or changed"):
        log.sum_of(everybody()[:1])


def test_a_destroyed_key_takes_the_samples_record_and_no_other(tmp_path):
    trained = record(tmp_path / "log", BY_SAMPLE)
    before = (tmp_path / "log" / "records.bin").read_bytes()

    destroyed = record_erasure.destroy_keys(tmp_path / "log", everybody()[:2])
    again = record_erasure.destroy_keys(tmp_path / "log", [*everybody()[:2], 10_000])

    log = log_of(tmp_path / "log", trained)
    assert destroyed == again == 2
    assert (tmp_path / "log" / "records.bin").read_bytes() == before
    assert log.sum_of(everybody()[2:]).num_records == len(everybody()) - 2
    with pytest.raises(MissingNeedError, match="the keys of 1 were destroyed"):
        log.sum_of(everybody()[1:3])


def test_a_destroyed_key_takes_every_batch_of_its_sample(tmp_path):
    trained = record(tmp_path / "log", BY_BATCH)
    whole = log_of(tmp_path / "log", trained).sum_of(everybody()[1:])
    record_erasure.destroy_keys(tmp_path / "log", everybody()[:1])

    left = log_of(tmp_path / "log", trained, everybody()[:1]).sum_of(everybody()[1:])

    assert whole.num_records == 3 * RECIPE.epochs
    assert (left.num_records, left.num_earlier) == (2 * RECIPE.epochs, RECIPE.epochs)
    with pytest.raises(MissingNeedError, match="not whole"):
        log_of(tmp_path / "log", trained).sum_of(everybody()[1:])


def test_batches_that_were_subtracted_are_not_taken_out_again_even_before_their_keys_are_gone(tmp_path):
    trained = record(tmp_path / "log", BY_BATCH)
    log = log_of(tmp_path / "log", trained)
    first, rest = everybody()[:1], everybody()[1:]

    one, other = log.sum_of(first), log.without(first).sum_of(rest)

    whole = log.sum_of(everybody()).sums
    for name in whole:
        torch.testing.assert_close(one.sums[name] + other.sums[name], whole[name])


def test_a_sample_that_was_not_trained_on_is_counted_as_absent(tmp_path):
    log = log_of(tmp_path / "log", record(tmp_path / "log", BY_SAMPLE, excluded=everybody()[:1]))

    found = log.sum_of(everybody()[:2])

    assert (found.num_records, found.num_absent) == (1, 1)


def test_a_log_of_other_weights_or_a_voided_one_is_none(tmp_path):
    trained = record(tmp_path / "log", BY_SAMPLE)

    assert open_log(tmp_path / "log", "0" * 64, NOBODY) is None
    record_erasure.void(tmp_path / "log")
    record_erasure.void(tmp_path / "log")

    assert open_log(tmp_path / "log", recorded.digest_of(trained), NOBODY) is None
    assert [file.name for file in (tmp_path / "log").iterdir()] == ["log.json"]


def test_a_step_is_not_recorded_by_sample():
    with pytest.raises(RecordError, match="no sum over its samples"):
        Recording(Granularity.SAMPLE, Account.STEP)


@pytest.mark.parametrize("fraction", [0.01, 0.37, 0.999, 1.0])
def test_subsets_are_distinct_in_range_and_even(fraction):
    layout = recorded_layout(fraction)

    counts = np.zeros(layout.num_entries)
    for sample in range(400):
        chosen = layout.subset(sample).numpy()
        assert len(np.unique(chosen)) == len(chosen) == layout.num_kept
        counts[chosen] += 1

    assert abs(counts.mean() / 400 - fraction) < 0.006
    # Six standard deviations of a binomial share: of some hundred entries none is favoured.
    assert (
        np.abs(counts / 400 - counts.mean() / 400).max() < 6 * (fraction * (1 - fraction) / 400) ** 0.5 + 1e-9
    )


def recorded_layout(fraction):
    return layout_of(
        recorded.build(), Recording(fraction=fraction), num_samples=1, num_steps=1, batch_width=1, seed=0
    )
