"""One class of MNIST on a small residual network with batch norm, by dampening and by one-shot."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor, nn

from benchmarks import forgetting, outcomes
from benchmarks.setting import NUM_CLASSES, open_setting
from benchmarks.ssd_classes import Row
from workers.numerics import metrics
from workers.preparation.prepared import prepare
from workers.preparation.training import train
from workers.unlearning.errors import UnlearningError

NUM_EPOCHS = 3
LEARNING_RATE = 0.1
NUM_RELAPSE = 10_000  # retained images of the fine-tuning
RELAPSES = ("0.001x1", "0.01x1")  # learning rate x epochs
WAYS = ("ssd", "one_shot")


class Block(nn.Module):
    """Two convolutions beside a shortcut, each with batch norm."""

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(num_in, num_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(),
            nn.Conv2d(num_out, num_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(num_out),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or num_in != num_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride, bias=False), nn.BatchNorm2d(num_out)
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return features; [n, C, H, W] -> [n, D, h, w]."""
        return nn.functional.relu(self.main(images) + self.shortcut(images))


def small_resnet() -> nn.Module:
    """Return a residual network of 77,000 weights: three blocks of 16, 32 and 64 channels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, NUM_CLASSES),
    )


def rows(data: Path, labels: range, device: str) -> Iterator[Row]:
    """Yield what dampening and one-shot make of each class of one model."""
    setting = open_setting("mnist", data, NUM_EPOCHS, device)
    setting = dataclasses.replace(setting, build=small_resnet).with_learning_rate(LEARNING_RATE)
    recipe = setting.recipe_of(0)
    found = train(setting.build, setting.source, recipe, device=device).params
    base = {name: tensor.to(device) for name, tensor in found.items()}
    tested = metrics.accuracy(*metrics.logits_of(setting.build(), base, setting.samples("test")))
    print(f"MNIST, small residual network: {100 * tested:.1f} before")
    made = functools.cache(lambda: prepare(setting.build, base, setting.source, recipe))
    for label in labels:
        for way in forgetting.ways(setting, base, made, (label,), 0):
            if way.name not in WAYS:
                continue
            try:
                params, seconds = way.forget()
            except UnlearningError as error:
                print(f"mnist {way.name} class {label}: {error.code}")
                params, seconds = base, 0.0
            row = outcomes.measure(setting, way, 0, (label,), base, params, seconds, NUM_RELAPSE)
            relapses = tuple(row.relapses[key] for key in RELAPSES)
            has_passed = row.verdict == "pass"
            yield Row(way.name, row.retained, row.worst_error, has_passed, seconds, relapses)
