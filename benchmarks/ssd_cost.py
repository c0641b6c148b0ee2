"""What a class request by dampening costs on a ResNet-18 of 11 million weights: time and memory, in copies.

The strength is stated, so this is the method without its search, which costs forward passes and is measured
with the classes. The Fishers are random numbers in files, as a worker keeps them.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.memory import peak_bytes
from benchmarks.setting import small_resnet18
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.information import ClassInformation
from workers.numerics.params import Params, read_file, state_of, trainable_names, write_file
from workers.unlearning import run
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.methods.ssd import METHOD, SsdParameters

NUM_CLASSES = 10
NUM_SAMPLES = 5000  # of each class
STRENGTH = SsdParameters(rho=0.15, dampening=0.1)


@dataclass(frozen=True)
class Cost:
    """What some request costs.

    Attributes:
        ratios: of its time to that of copying the weights, one a pair of runs in turn.
        seconds: medians of the request and of the copy.
        copies: of the weights that it holds at its peak beside those it was given.
    """

    ratios: Sequence[float]
    seconds: tuple[float, float]
    copies: float


def measure(num_forgotten: int, *, is_read: bool, num_pairs: int, device: str) -> Cost:
    """Measure a request for some classes.

    Args:
        num_forgotten: classes.
        is_read: whether the Fishers are read from files, or are in memory already.
        num_pairs: of a copy and a request.
        device: where the weights are.
    """
    model = small_resnet18()
    params = {name: tensor.to(device) for name, tensor in state_of(model).items()}
    names = trainable_names(model)
    with tempfile.TemporaryDirectory() as folder:
        information = _information(Path(folder), params, names, num_forgotten, device, is_read=is_read)
        problem = _problem(params, num_forgotten, information)

        def forget() -> object:
            return run.forget(METHOD, problem, STRENGTH)

        pairs = [
            (_seconds(lambda: _copy(params), device), _seconds(forget, device)) for _ in range(num_pairs)
        ]
        peak = peak_bytes(forget, device)
    size = sum(tensor.numel() * tensor.element_size() for tensor in params.values())
    copying, forgetting = zip(*pairs, strict=True)
    ratios = [mine / other for other, mine in pairs]
    return Cost(ratios, (statistics.median(forgetting), statistics.median(copying)), peak / size)


def _copy(params: Params) -> Params:
    return {name: tensor.clone() for name, tensor in params.items()}


def _seconds(work: Callable[[], object], device: str) -> float:
    started_at = time.perf_counter()
    work()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started_at


def _information(
    folder: Path, params: Params, names: Sequence[str], num_forgotten: int, device: str, *, is_read: bool
) -> ClassInformation:
    """Draw Fishers of the forgotten classes and a whole, and keep them in files or in memory."""
    generator = torch.Generator().manual_seed(0)

    def draw() -> Params:
        return {n: torch.rand(params[n].shape, generator=generator) for n in names}

    means = {label: draw() for label in range(num_forgotten)}
    whole = {n: t.double() * NUM_SAMPLES * (NUM_CLASSES - num_forgotten) for n, t in draw().items()}
    for mean in means.values():
        for name, tensor in mean.items():
            whole[name] += NUM_SAMPLES * tensor.double()
    counts = dict.fromkeys(range(NUM_CLASSES), NUM_SAMPLES)
    if not is_read:
        placed = {label: {n: t.to(device) for n, t in mean.items()} for label, mean in means.items()}
        on_device = {n: t.to(device) for n, t in whole.items()}
        return ClassInformation(counts, placed.__getitem__, lambda: on_device)
    for label, mean in means.items():
        write_file(folder / str(label), mean)
    write_file(folder / "whole", whole)

    def read(name: str | int) -> dict[str, Tensor]:
        return {n: t.to(device) for n, t in read_file(folder / str(name)).items()}

    return ClassInformation(counts, read, lambda: read("whole"))


def _problem(params: Params, num_forgotten: int, information: ClassInformation) -> ForgetProblem:
    labels = np.arange(NUM_CLASSES)

    def refuse(positions: object) -> Tensor:
        raise AssertionError("a class request with a stated strength reads no data")

    source = ReaderSource("none", Manifest.of(labels), (3, 32, 32), refuse)
    return ForgetProblem(
        build=small_resnet18,
        params=params,
        num_classes=NUM_CLASSES,
        kind=Kind.CLASS,
        classes=tuple(range(num_forgotten)),
        forget=SampleSet(source, labels[:num_forgotten]),
        retain=SampleSet(source, labels[num_forgotten:]),
        tuning=SampleSet(source, labels[:0]),
        class_information=information,
    )
