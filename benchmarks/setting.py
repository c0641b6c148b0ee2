"""The two settings of the one-shot paper that fit one machine: its data, networks and training recipes.

"One-shot machine unlearning with mnemonic code" (Yamashita, Yamada, Shibata; ACML 2024), section 4 and
appendix A: a fully connected network on MNIST, a ResNet-18 on CIFAR-10. Departures: the epochs are the
caller's, both rates fall along a cosine, images are standardised and not augmented, and a tenth of the
training images is held out to choose strengths and to audit with, so that no choice rests on the test split.

A data folder holds `MNIST/raw/*-ubyte` (gzip-compressed or not) and `cifar10/{train,test}-*.npz`: bytes
`strips` of lossless images 32 pixels wide with up to 100 pictures one below the other, `offsets` of each
strip in them, and `labels`.
"""

import dataclasses
import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet18

from workers.numerics import architectures, seeding
from workers.numerics.batches import SampleSet
from workers.numerics.datasets.base import SPLITS, DatasetSource, Manifest, Normalisation, ReaderSource
from workers.numerics.datasets.pixels import as_images
from workers.numerics.datasets.registry import open_source
from workers.preparation.recipe import TrainingRecipe

DATASETS = ("mnist", "cifar10")
NUM_CLASSES = 10
HOLDOUT_SHARE = 0.1
CIFAR_WIDTH = 32
HIDDEN = 1000

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setting:
    """What every model of a run shares.

    Attributes:
        name: one of DATASETS, or digits.
        source: the data, splits train, holdout and test.
        build: makes the untrained network.
        recipe: of the models with codes; seeds and learning rate are replaced model by model.
        device: to train and measure on.
    """

    name: str
    source: DatasetSource
    build: Callable[[], nn.Module]
    recipe: TrainingRecipe
    device: torch.device

    def samples(self, split: str, classes: tuple[int, ...] | None = None) -> SampleSet:
        """Return a split's samples of some classes; of all if None."""
        positions = self.source.manifest.positions(split)
        if classes is None:
            return SampleSet(self.source, positions)
        return SampleSet(self.source, positions[np.isin(self.source.manifest.labels[positions], classes)])

    def without(self, classes: Sequence[int]) -> SampleSet:
        """Return the training samples of all other classes."""
        return self.samples("train", tuple(label for label in range(NUM_CLASSES) if label not in classes))

    @property
    def tuning(self) -> SampleSet:
        """The half of the holdout that strengths are chosen on."""
        holdout = self.samples("holdout")
        return holdout.take(np.arange(0, len(holdout), 2))

    @property
    def unseen(self) -> SampleSet:
        """The half of the holdout that only the audit reads."""
        holdout = self.samples("holdout")
        return holdout.take(np.arange(1, len(holdout), 2))

    def with_learning_rate(self, learning_rate: float) -> "Setting":
        """Return the setting with another learning rate."""
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, learning_rate=learning_rate))

    def recipe_of(self, seed: int, *, with_codes: bool = True) -> TrainingRecipe:
        """Return the recipe of one seed's model; codes and all else follow from the seed."""
        code_mix = self.recipe.code_mix if with_codes else 0.0
        return dataclasses.replace(self.recipe, seed=seed, code_seed=seed, code_mix=code_mix)


def open_setting(name: str, data: Path, epochs: int, device: torch.device | str = "cpu") -> Setting:
    """Read a data set into memory and pair it with its network and recipe.

    Args:
        name: one of DATASETS.
        data: the data folder.
        epochs: of every training; the paper has 200.
        device: to train and measure on.

    Raises:
        OSError: a file is not there or cannot be read.
    """
    match name:
        case "mnist":
            parts = [_read_mnist(data, stem) for stem in ("train", "t10k")]
            normalisation = Normalisation((0.1307,), (0.3081,))
            build, code_mix = fully_connected, 0.1
        case _:
            parts = [_read_cifar10(data, split) for split in ("train", "test")]
            normalisation = Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
            build, code_mix = small_resnet18, 0.3
    recipe = TrainingRecipe(
        epochs=epochs,
        batch_size=128,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        code_mix=code_mix,
    )
    return Setting(name, _as_source(name, parts, normalisation), build, recipe, torch.device(device))


def digits_setting(epochs: int = 20, device: torch.device | str = "cpu") -> Setting:
    """Return scikit-learn's digits with a small convolutional network: what needs no data folder."""
    recipe = TrainingRecipe(epochs=epochs, batch_size=32, learning_rate=0.1, code_mix=0.1)
    source = open_source({"source": "digits"})
    return Setting("digits", source, architectures.small_cnn, recipe, torch.device(device))


def fully_connected() -> nn.Module:
    """Return the paper's network for MNIST: 784 - 1000 sigmoids - 10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.Sigmoid(), nn.Linear(HIDDEN, NUM_CLASSES))


def small_resnet18() -> nn.Module:
    """Return a ResNet-18 for 32 x 32 images: a first convolution of 3 x 3 with stride 1, no first pool."""
    model = resnet18(num_classes=NUM_CLASSES)
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model  # type: ignore[no-any-return]


def _as_source(name: str, parts: list[tuple[Pixels, Labels]], normalisation: Normalisation) -> ReaderSource:
    """Join the training and the test part; hold a tenth of the first out, fixed by the data set's name."""
    pixels = np.concatenate([images for images, _ in parts])  # [N, H, W] or [N, H, W, C]
    labels = np.concatenate([labels for _, labels in parts])
    num_train = len(parts[0][1])
    splits = np.full(len(labels), SPLITS.index("test"), dtype=np.uint8)
    order = seeding.fixed_permutation(num_train, name)
    num_holdout = round(HOLDOUT_SHARE * num_train)
    splits[order[:-num_holdout]] = SPLITS.index("train")
    splits[order[-num_holdout:]] = SPLITS.index("holdout")

    def read(positions: NDArray[np.int64]) -> Tensor:
        return as_images(pixels[positions])

    height, width, channels = (*pixels.shape[1:], 1)[:3]
    return ReaderSource(name, Manifest.of(labels, splits), (channels, height, width), read, normalisation)


def _read_mnist(data: Path, stem: str) -> tuple[Pixels, Labels]:
    """Return images uint8 [n, 28, 28] and labels int64 [n]."""
    raw = data / "MNIST" / "raw"
    images, labels = _read_idx(raw, f"{stem}-images-idx3-ubyte"), _read_idx(raw, f"{stem}-labels-idx1-ubyte")
    return images, labels.astype(np.int64)


def _read_idx(folder: Path, name: str) -> Pixels:
    """Read an array of bytes: type and number of dimensions, each size as four bytes, then the values."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    num_dims = content[3]
    shape = np.frombuffer(content, ">u4", num_dims, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_dims).reshape(shape)


def _read_cifar10(data: Path, split: str) -> tuple[Pixels, Labels]:
    """Return images uint8 [n, 32, 32, 3] and labels int64 [n]."""
    shards = sorted((data / "cifar10").glob(f"{split}-*.npz"))
    if not shards:
        raise FileNotFoundError(f"expected {split}-*.npz under {data / 'cifar10'}, found none")
    images, labels = [], []
    for shard in shards:
        with np.load(shard, allow_pickle=False) as arrays:
            content, offsets = arrays["strips"].tobytes(), arrays["offsets"]
            labels.append(arrays["labels"])
        for start, end in pairwise(offsets):
            strip = Image.open(io.BytesIO(content[start:end])).convert("RGB")
            images.append(np.asarray(strip).reshape(-1, CIFAR_WIDTH, CIFAR_WIDTH, 3))
    return np.concatenate(images), np.concatenate(labels).astype(np.int64)
