"""Wrong labels are wrong, remain known, come for the forget set alone, and follow from the seed."""

import dataclasses
import itertools

import pytest
import torch

from tests.fixtures import forget_problems
from workers.numerics.batches import SampleSet
from workers.unlearning.base import Kind
from workers.unlearning.errors import IneffectiveError
from workers.unlearning.training import courses
from workers.unlearning.training.relabelling import relabelled


def drawn(problem, samples, num_batches=30, name="a"):
    batches = relabelled(problem, courses.stream(problem, samples, "order"), name)
    taken = [*itertools.islice(batches, num_batches)]
    return torch.cat([batch.positions for batch in taken]), torch.cat([batch.labels for batch in taken])


def test_no_sample_of_the_forget_set_keeps_its_label_or_gets_a_forgotten_one():
    problem = forget_problems.problem(Kind.CLASS, classes=(0,), forgotten_classes=(3,))

    _, labels = drawn(problem, problem.forget)

    assert {*labels.tolist()} == {1, 2}


def test_wrong_labels_are_even_among_the_others():
    problem = forget_problems.problem(Kind.CLASS, classes=(0,))

    _, labels = drawn(problem, problem.forget, num_batches=250)  # 3,000 draws: one standard error is 26

    assert all(abs(int((labels == label).sum()) - 1000) < 130 for label in (1, 2, 3))


def test_retained_samples_keep_their_labels():
    problem = forget_problems.problem(Kind.SAMPLES)
    train = problem.retain.source.manifest.positions("train")

    positions, labels = drawn(problem, SampleSet(problem.retain.source, train))

    is_forgotten = torch.isin(positions, torch.tensor(problem.forget.positions))
    own = torch.from_numpy(problem.retain.source.manifest.labels[positions.numpy()])
    assert torch.equal(labels != own, is_forgotten)


def test_where_no_other_class_remains_any_other_will_do():
    problem = forget_problems.problem(
        Kind.SAMPLES, train_counts=(12, 12), holdout_counts=(6, 6), forgotten_classes=(1,)
    )
    own = problem.forget.take((problem.forget.labels == 0).nonzero()[:, 0].numpy())

    _, labels = drawn(dataclasses.replace(problem, forget=own), own)

    assert {*labels.tolist()} == {1}


def test_labels_follow_from_seed_and_name():
    problem = forget_problems.problem(Kind.CLASS)

    first, again, other = (drawn(problem, problem.forget, name=name)[1] for name in "aab")

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_network_of_one_output_has_no_wrong_label():
    problem = dataclasses.replace(forget_problems.problem(Kind.SAMPLES), num_classes=1)

    with pytest.raises(IneffectiveError, match="no wrong label"):
        drawn(problem, problem.forget)
