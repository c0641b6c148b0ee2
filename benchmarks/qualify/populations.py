"""Many models of one family that differ in nothing but their seed: originals, and those trained without.

Perceptrons are trained side by side (`benchmarks.stacks`), convolutional networks one by one and kept
(`benchmarks.cache`). All learn scikit-learn's digits. For requests of the kind *class* the digits are as they
are and mnemonic codes are mixed in, so that every method has what it needs; for *samples* one label in twenty
is wrong (`benchmarks.memorised_sets`), and no codes are.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import stacks
from benchmarks.cache import Cache
from benchmarks.setting import Setting
from workers.audit.outputs import SATURATION
from workers.numerics import architectures, codes, metrics, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params
from workers.preparation.prepared import Prepared, prepare
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

FAMILIES = ("mlp", "cnn")
CODE_MIX = 0.1
RECIPES = {
    "mlp": TrainingRecipe(epochs=100, batch_size=32, learning_rate=0.1),
    "cnn": TrainingRecipe(
        epochs=20, batch_size=64, learning_rate=0.1
    ),  # the shortest that knows wrong labels
}
NETWORKS = {
    "mlp": "64 - 128 rectifiers - 10",
    "cnn": "small_cnn, three blocks with batch norm, 16 - 16 - 32 channels",
}

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Population:
    """A network, its data and its recipe; each model has a seed.

    Attributes:
        family: one of FAMILIES.
        source: what is learned.
        has_codes: whether codes are mixed in.
        folder: where trained convolutional networks are kept.
        epochs: in place of the recipe's; None leaves them.
        made: what was prepared of each seed's model; filled when it is asked for.
    """

    family: str
    source: DatasetSource
    has_codes: bool
    folder: Path
    epochs: int | None = None
    made: dict[int, Prepared] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Return the untrained network."""
        return stacks.network() if self.family == "mlp" else architectures.small_cnn()

    def recipe_of(self, seed: int) -> TrainingRecipe:
        """Return how the model of a seed is trained."""
        recipe = RECIPES[self.family]
        return dataclasses.replace(
            recipe,
            epochs=self.epochs or recipe.epochs,
            seed=seed,
            code_seed=seed,
            code_mix=CODE_MIX if self.has_codes else 0.0,
        )

    def trained(self, seeds: Sequence[int], without: NDArray[np.int64]) -> list[Params]:
        """Return a model a seed, none of which saw some positions of the training split."""
        if self.family == "cnn":
            cache = Cache(self.folder, self._setting)
            return [cache.trained(self.recipe_of(seed), without, self.source)[0] for seed in seeds]
        learned = np.setdiff1d(self.source.manifest.positions("train"), without)
        data = stacks.Data(
            self.source.images(learned).flatten(1), torch.from_numpy(self.source.manifest.labels[learned])
        )
        stack = stacks.train(
            data, self.recipe_of(0), seeds, show=self._mixing(seeds) if self.has_codes else None
        )
        return [stacks.member(stack, number) for number in range(len(seeds))]

    def trained_alone(self, seed: int, without: NDArray[np.int64]) -> Params:
        """Return one model, trained by the service's own training: what retraining costs."""
        return train(self.build, self.source, self.recipe_of(seed), excluded=without).params

    def prepared(self, params: Params, seed: int) -> Prepared:
        """Return what a worker would have ready for the model of a seed before a request."""
        if seed not in self.made:
            self.made[seed] = prepare(self.build, params, self.source, self.recipe_of(seed))
        return self.made[seed]

    def samples(self, split: str) -> SampleSet:
        """Return all samples of a split."""
        return SampleSet(self.source, self.source.manifest.positions(split))

    def confidences(self, models: Sequence[Params], samples: SampleSet) -> Scores:
        """Return the log odds of the label under each model, [models, n], cut at +-SATURATION."""
        network = self.build()
        rows = []
        for params in models:
            logits, labels = metrics.logits_of(network, params, samples)
            rows.append(metrics.confidence(logits.double(), labels).clamp(-SATURATION, SATURATION).numpy())
        return np.stack(rows)

    def accuracies(self, models: Sequence[Params], samples: SampleSet) -> Scores:
        """Return each model's accuracy, [models]."""
        network = self.build()
        return np.array([metrics.accuracy(*metrics.logits_of(network, params, samples)) for params in models])

    @property
    def _setting(self) -> Setting:
        return Setting(
            f"digits-{self.family}", self.source, self.build, RECIPES[self.family], torch.device("cpu")
        )

    def _mixing(self, seeds: Sequence[int]) -> "_Mixing":
        shape = self.source.input_shape
        drawn = [
            codes.draw_codes(stacks.NUM_CLASSES, shape, normalised=False, seed=seed).flatten(1)
            for seed in seeds
        ]
        return _Mixing(torch.stack(drawn), [seeding.generator(seed, "mixing") for seed in seeds])


@dataclass(frozen=True, eq=False)
class _Mixing:
    """Replaces images by the codes of their classes, each member by its own.

    Attributes:
        codes: [models, classes, 64].
        generators: one a member, that decide which.
    """

    codes: Tensor
    generators: Sequence[torch.Generator]

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return [models, b, 64] for images of that shape and labels [models, b]."""
        drawn = torch.stack([torch.rand(labels.shape[1], generator=each) for each in self.generators])
        own = self.codes.gather(1, labels[:, :, None].expand(-1, -1, self.codes.shape[2]))
        return torch.where((drawn < CODE_MIX)[:, :, None], own, images)
