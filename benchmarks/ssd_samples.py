"""Forgetting samples by dampening: does the model come nearer to those that never learned them?

Three kinds of forget set: ordinary samples drawn at random; a subclass, one of four clusters of a class; and
samples that were trained with wrong labels, which a model can only know by heart. The yardstick is a few
models retrained without the set, from other seeds: the distance is the mean absolute difference of the
samples' log odds, squashed by tanh(x / 6) so that 20 against 25 hardly counts, to the retrained models'
mean. What lies between one retrained model and the others is the floor.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from benchmarks.ssd_digits import EXACT, NETWORKS, NUM_CLASSES, Bench, digits, mislabelled
from workers.audit.base import ForgetGroup
from workers.numerics import metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params
from workers.preparation.prepared import prepare
from workers.unlearning import run
from workers.unlearning.base import ForgetProblem, Kind
from workers.unlearning.errors import UnlearningError
from workers.unlearning.methods import ssd
from workers.unlearning.methods.ssd import SsdParameters

NUM_RANDOM = 20
NUM_CLUSTERS = 4
SQUASH = 6.0
WAYS: Mapping[str, SsdParameters] = {
    "ssd": SsdParameters(),
    "ssd, repaired": SsdParameters(repair=True),
    "ssd, label_free": SsdParameters(importance="label_free"),
}


@dataclass(frozen=True)
class Row:
    """One outcome.

    Attributes:
        group: the kind of forget set.
        way: how it was forgotten; "original" and "retrained" for the models beside it.
        accuracy: on the test split.
        recalled: share of the forget set that still gets the label it was trained with.
        distance: to the retrained models.
        has_passed: the audit; True for the retrained, which it does not decide on.
    """

    group: str
    way: str
    accuracy: float
    recalled: float
    distance: float
    has_passed: bool


def rows(name: str, seeds: range, num_retrained: int, device: str) -> Iterator[Row]:
    """Yield the outcomes of every kind of forget set."""
    for seed in seeds:
        for kind, (source, positions) in _forget_sets(seed).items():
            bench = Bench(NETWORKS[name], source, seed, device)
            forget = SampleSet(source, positions)
            base = bench.trained()
            golds = [
                dataclasses.replace(bench, seed=1000 * (seed + 1) + number).trained(positions)
                for number in range(num_retrained)
            ]
            confidences = np.stack([_confidence(bench, gold, forget) for gold in golds])

            def row(
                way: str,
                params: Params,
                others: NDArray[np.float64],
                guarantee: str | None = None,
                *,
                bench: Bench = bench,
                base: Params = base,
                forget: SampleSet = forget,
                kind: str = kind,
            ) -> Row:
                own = _confidence(bench, params, forget)
                group = ForgetGroup("samples", (), forget)
                has_passed = guarantee is not None or bench.verdict(base, params, group) == "pass"
                distance = float(np.abs(np.tanh(own / SQUASH) - np.tanh(others.mean(0) / SQUASH)).mean())
                tested = bench.accuracy(params, bench.samples("test"))
                return Row(kind, way, tested, float((own > 0).mean()), distance, has_passed)

            yield row("original", base, confidences)
            for number, gold in enumerate(golds):
                yield row("retrained", gold, np.delete(confidences, number, axis=0), EXACT)
            for way, params in _forgotten(bench, base, forget):
                yield row(way, params, confidences)


def _forgotten(bench: Bench, base: Params, forget: SampleSet) -> Iterator[tuple[str, Params]]:
    made = prepare(bench.network.build, base, bench.source, bench.recipe)
    problem = ForgetProblem(
        build=bench.network.build,
        params=base,
        num_classes=NUM_CLASSES,
        kind=Kind.SAMPLES,
        forget=forget,
        retain=bench.without(forget),
        tuning=bench.tuning,
        class_information=made.class_information,
        seed=bench.seed,
        device=bench.device,
    )
    for way, parameters in WAYS.items():
        try:
            yield way, run.forget(ssd.METHOD, problem, parameters).params
        except UnlearningError as error:
            print(f"{way} seed {bench.seed}: {error.code}")
            yield way, base


def _forget_sets(seed: int) -> dict[str, tuple[DatasetSource, NDArray[np.int64]]]:
    source = digits()
    positions = source.manifest.positions("train")
    drawn = torch.randperm(len(positions), generator=seeding.generator(seed, "forget"))[:NUM_RANDOM]
    random = np.sort(positions[drawn.numpy()])
    return {
        "ordinary": (source, random),
        "subclass": (source, _cluster(source, (8, 1, 9)[seed % 3])),
        "wrong labels": (mislabelled(random, seed), random),
    }


def _cluster(source: DatasetSource, label: int) -> NDArray[np.int64]:
    """Return the second smallest of a class's clusters."""
    positions = source.manifest.positions("train")
    members: NDArray[np.int64] = positions[source.manifest.labels[positions] == label]
    pixels = source.images(members).flatten(1).numpy()
    clusters = KMeans(NUM_CLUSTERS, n_init=5, random_state=0).fit(pixels).labels_
    chosen: NDArray[np.int64] = members[clusters == np.argsort(np.bincount(clusters))[1]]
    return chosen


def _confidence(bench: Bench, params: Params, samples: SampleSet) -> NDArray[np.float64]:
    logits, labels = metrics.logits_of(bench.network.build(), params, samples)
    return metrics.confidence(logits.double(), labels).numpy()


def mean(found: Sequence[Row]) -> tuple[float, float, float, float]:
    """Return the means of accuracy, recall, distance and passes."""
    values = [[row.accuracy, row.recalled, row.distance, float(row.has_passed)] for row in found]
    accuracy, recalled, distance, passed = np.mean(values, axis=0).tolist()
    return accuracy, recalled, distance, passed
