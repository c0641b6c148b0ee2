"""Small networks of different build on scikit-learn's digits, and the requests that are made of them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models import resnet18

from workers.audit import suite
from workers.audit.base import AuditInput, ForgetGroup
from workers.numerics import architectures, metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import SPLITS, DatasetSource, Manifest, ReaderSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import Params, load_params, state_of
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

NUM_CLASSES = 10
CODE_MIX = 0.1
BATCH_SIZE = 32
RELAPSE_RATES = (1e-3, 1e-2)
MOMENTUM = 0.9
EXACT, APPROXIMATE = "exact", "approximate"


def sigmoid_mlp() -> nn.Module:
    """Return the one-shot paper's network for MNIST, for 64 inputs: one hidden layer of 1,000 sigmoids."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1000), nn.Sigmoid(), nn.Linear(1000, NUM_CLASSES))


def gray_resnet18() -> nn.Module:
    """Return a ResNet-18 for small gray images: a first convolution of 3 x 3 with stride 1, no first pool."""
    model = resnet18(num_classes=NUM_CLASSES)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Network:
    """An architecture with what trains it well."""

    build: Callable[[], nn.Module]
    epochs: int
    learning_rate: float


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "small_cnn": Network(architectures.small_cnn, 20, 0.1),
        "mlp": Network(lambda: architectures.mlp(64), 30, 0.1),
        "sigmoid_mlp": Network(sigmoid_mlp, 60, 0.1),
        "resnet18": Network(gray_resnet18, 6, 0.05),
    }
)


@dataclass(frozen=True, eq=False)
class Bench:
    """One network on one source of digits, from one seed.

    Attributes:
        network: its architecture and training.
        source: digits, with labels as they are or with some made wrong.
        seed: of the training and of all else.
        device: to train and measure on.
    """

    network: Network
    source: DatasetSource
    seed: int
    device: str

    @property
    def recipe(self) -> TrainingRecipe:
        """How the model is trained."""
        return TrainingRecipe(
            epochs=self.network.epochs,
            batch_size=BATCH_SIZE,
            learning_rate=self.network.learning_rate,
            code_mix=CODE_MIX,
            seed=self.seed,
            code_seed=self.seed,
        )

    def trained(self, without: NDArray[np.int64] | None = None) -> Params:
        """Train the model, or the one that never saw some positions."""
        found = train(
            self.network.build, self.source, self.recipe, excluded=without, device=self.device
        ).params
        return {name: tensor.to(self.device) for name, tensor in found.items()}

    def samples(self, split: str, classes: Collection[int] = range(NUM_CLASSES)) -> SampleSet:
        """Return the samples of some classes in a split."""
        positions = self.source.manifest.positions(split)
        return SampleSet(self.source, positions[np.isin(self.source.manifest.labels[positions], [*classes])])

    def without(self, forget: SampleSet) -> SampleSet:
        """Return the training samples that remain."""
        return SampleSet(self.source, np.setdiff1d(self.source.manifest.positions("train"), forget.positions))

    @property
    def tuning(self) -> SampleSet:
        """The half of the holdout that strengths are chosen on."""
        return SampleSet(self.source, self.source.manifest.positions("holdout")[0::2])

    def accuracy(self, params: Params, samples: SampleSet) -> float:
        """Return the share of samples that are recognised."""
        return metrics.accuracy(*metrics.logits_of(self.network.build(), params, samples))

    def verdict(self, base: Params, params: Params, group: ForgetGroup, guarantee: str = APPROXIMATE) -> str:
        """Return what the audit says, as a worker would run it."""
        report = suite.audit(
            AuditInput(
                build=self.network.build,
                num_classes=NUM_CLASSES,
                base_params=base,
                params=params,
                groups=(group,),
                retain=self.without(group.forget),
                unseen=SampleSet(self.source, self.source.manifest.positions("holdout")[1::2]),
                seed=self.seed,
                guarantee=guarantee,
            )
        )
        return str(report.verdict.outcome)

    def tuned(self, params: Params, samples: SampleSet, learning_rate: float) -> Params:
        """Return the weights after one epoch of plain training on retained samples, as an owner might run."""
        model = self.network.build().to(self.device)
        load_params(model, params)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=MOMENTUM)
        order = seeding.generator(self.seed, "fine-tuning")
        for images, labels in samples.batches(BATCH_SIZE, order, merge_single=True):
            loss = nn.functional.cross_entropy(model(images.to(self.device)), labels.to(self.device))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return state_of(model)


def digits() -> DatasetSource:
    """Return the digits as they are."""
    return open_source({"source": "digits"})


def mislabelled(positions: NDArray[np.int64], seed: int) -> DatasetSource:
    """Return the digits with a wrong label at each of these positions."""
    source = digits()
    labels = source.manifest.labels.copy()
    added = torch.randint(1, NUM_CLASSES, (len(positions),), generator=seeding.generator(seed, "wrong"))
    labels[positions] = (labels[positions] + added.numpy()) % NUM_CLASSES
    splits = np.empty(len(labels), dtype=np.uint8)
    for number, split in enumerate(SPLITS):
        splits[source.manifest.positions(split)] = number
    return ReaderSource("digits", Manifest.of(labels, splits), source.input_shape, source.images)
