"""A Fisher that is made bit by bit: saved and taken up again, class by class, and refused bad input."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.memory import peak_bytes
from tests.oracles.fisher import sum_of_squared_gradients
from workers.numerics.architectures import mlp, small_cnn
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.fisher import FisherError, FisherSum, diagonal_fisher, each_class
from workers.numerics.params import num_changed, state_of


def setting(num_samples=7):
    """A network, its state, and batches of images with labels."""
    torch.manual_seed(0)
    model = small_cnn(width=3).eval()
    images, labels = torch.randn(num_samples, 1, 6, 6), torch.arange(num_samples) % 10
    return (
        model,
        state_of(model),
        [(images[rows], labels[rows]) for rows in torch.arange(num_samples).split(3)],
    )


def samples_of(labels):
    images = torch.rand(len(labels), 1, 6, 6, generator=torch.Generator().manual_seed(0))
    source = ReaderSource("random", Manifest.of(labels), (1, 6, 6), lambda positions: images[positions])
    return SampleSet(source, np.arange(len(labels)))


def test_a_sum_taken_up_again_equals_the_uninterrupted_one_bit_for_bit():
    model, params, batches = setting()
    whole = FisherSum(model, params)
    for batch in batches:
        whole.add(*batch)

    first = FisherSum(model, params)
    first.add(*batches[0])
    saved = {name: total.clone() for name, total in first.sums.items()}
    second = FisherSum(model, params, sums=saved, num_samples=first.num_samples)
    for batch in batches[1:]:
        second.add(*batch)

    assert second.num_samples == whole.num_samples == 7
    assert num_changed(second.sums, whole.sums) == 0 and num_changed(second.mean(), whole.mean()) == 0
    assert num_changed(saved, first.sums) == 0


def test_the_mean_is_the_one_of_the_plain_function():
    model, params, batches = setting()
    total = FisherSum(model, params)
    for batch in batches:
        total.add(*batch)

    assert num_changed(total.mean(), diagonal_fisher(model, params, batches)) == 0


@pytest.mark.parametrize("changes", [{"num_samples": 3}, {"sums": {}}, {"sums": {}, "num_samples": 3}])
def test_half_of_an_earlier_sum_or_that_of_another_model_is_refused(changes):
    model, params, _ = setting()

    with pytest.raises(FisherError, match="expected sums"):
        FisherSum(model, params, **changes)


def test_classes_come_in_the_order_asked_for_and_those_left_have_the_same_bits():
    model, params, _ = setting()
    samples = samples_of([3, 0, 3, 9, 0, 3, 3])
    classes = [9, 5, 3, 0]

    found = list(each_class(model, params, samples, classes, batch_size=2))
    left = list(each_class(model, params, samples, classes[2:], batch_size=2))

    assert [(one.label, one.count) for one in found] == [(9, 1), (3, 4), (0, 2)]
    for one, again in zip(found[1:], left, strict=True):
        assert one.label == again.label and num_changed(one.mean, again.mean) == 0


def test_a_class_is_given_before_the_next_is_read():
    model, params, _ = setting()
    read = []
    samples = samples_of([0, 1, 1])
    reader = samples.source.images
    source = ReaderSource(
        "watched",
        samples.source.manifest,
        (1, 6, 6),
        lambda positions: read.extend(positions) or reader(positions),
    )

    found = each_class(model, params, SampleSet(source, samples.positions), [0, 1])

    assert next(found).label == 0 and read == [0]
    assert next(found).label == 1 and read == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    model, _, batches = setting()
    model = model.to(dtype)
    halves = [(images.to(dtype), labels) for images, labels in batches]

    fisher = diagonal_fisher(model, state_of(model), halves)

    model = model.float()
    expected = diagonal_fisher(
        model, state_of(model), [(images.float(), labels) for images, labels in halves]
    )
    assert all(total.dtype == torch.float32 for total in fisher.values())
    assert num_changed(fisher, expected) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_and_adds_nothing(value):
    model, params, batches = setting()
    images, labels = batches[0]
    total = FisherSum(model, params)
    total.add(images, labels)
    before = {name: own.clone() for name, own in total.sums.items()}

    with pytest.raises(FisherError, match="expected a finite loss"):
        total.add(torch.full_like(images, value), labels)

    assert num_changed(before, total.sums) == 0 and total.num_samples == 3
    assert num_changed(params, state_of(model)) == 0


def test_squares_that_overflow_are_an_error():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    total = FisherSum(model, state_of(model))
    total.add(torch.full((1, 1, 6, 6), 1e30).where(torch.arange(6) % 2 == 0, -1e30), torch.tensor([0]))

    with pytest.raises(FisherError, match="expected finite squared gradients"):
        total.mean()


def test_images_of_another_shape_are_an_error():
    model = mlp(36, 5, 2)

    with pytest.raises(
        FisherError, match=r"expected images that the network takes, got some of shape \[1, 5, 5\]"
    ):
        diagonal_fisher(model, state_of(model), [(torch.rand(3, 1, 5, 5), torch.tensor([0, 1, 0]))])


def test_a_label_too_few_is_an_error():
    model, params, batches = setting()

    with pytest.raises(FisherError, match="got 3 images and 2 labels"):
        FisherSum(model, params).add(batches[0][0], batches[0][1][:2])


def test_an_empty_batch_adds_nothing():
    model, params, batches = setting()
    total = FisherSum(model, params)

    total.add(batches[0][0][:0], batches[0][1][:0])

    assert total.num_samples == 0
    with pytest.raises(FisherError, match="at least one sample"):
        total.mean()


def test_two_parameters_in_one_storage_are_two_parameters():
    model = mlp(36, 5, 5)
    model.more = nn.Linear(5, 5)
    model.more.weight = nn.Parameter(model.head.weight.detach())
    images, labels = torch.randn(3, 1, 6, 6), torch.tensor([0, 1, 4])

    sums = diagonal_fisher(model, state_of(model), [(images, labels)], reduction="sum")

    for name, expected in sum_of_squared_gradients(model.double(), images.double(), labels).items():
        assert torch.allclose(sums[name].double(), expected, rtol=1e-5, atol=1e-9), name


def test_beside_the_batch_it_holds_two_sets_of_parameters():
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(512, 512) for _ in range(8)))
    num_bytes = sum(parameter.nbytes for parameter in model.parameters())
    params, images, labels = state_of(model), torch.randn(64, 512), torch.arange(64)

    def measure():
        total = FisherSum(model, params)
        total.add(images, labels)
        total.add(images, labels)

    # One batch has 8 x 64 x 512 activations, and as many gradients if none was let go of: 2 MB of 8.4 MB.
    assert peak_bytes(measure) < 2.3 * num_bytes
