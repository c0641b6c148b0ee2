"""Trains the models of a setting once and keeps them: a rerun reads them and measures only.

A file's name holds a digest of all that decides its weights but the code: data set, labels, recipe, and the
samples left out. Delete the folder after a change of the training or of a network.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.setting import Setting
from workers.numerics import metrics
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, read_file, write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

LEARNING_RATES = (0.01, 0.03, 0.1, 0.3)
CHOOSING_SEED = 1000  # its model is used for nothing else


@dataclass(frozen=True)
class Cache:
    """A folder of trained weights, a safetensors file and its training time each.

    Attributes:
        folder: made if it is not there.
        setting: of every model.
    """

    folder: Path
    setting: Setting

    def model(
        self, seed: int, *, with_codes: bool = True, without: Sequence[int] = ()
    ) -> tuple[Params, float]:
        """Return one model's weights, on the setting's device, and how long its training took in seconds.

        Args:
            seed: of the codes and of the training.
            with_codes: whether codes were mixed in.
            without: classes left out of the training: the model retrained without them.
        """
        excluded = self.setting.samples("train", tuple(without)).positions
        return self.trained(self.setting.recipe_of(seed, with_codes=with_codes), excluded)

    def choose_learning_rate(self) -> dict[float, float]:
        """Return the holdout accuracy of one model with codes a learning rate, best first."""
        recipe = self.setting.recipe_of(CHOOSING_SEED)
        holdout = self.setting.samples("holdout")
        scores = {}
        for rate in LEARNING_RATES:
            params, _ = self.trained(dataclasses.replace(recipe, learning_rate=rate))
            scores[rate] = metrics.accuracy(*metrics.logits_of(self.setting.build(), params, holdout))
        return dict(sorted(scores.items(), key=lambda each: -each[1]))

    def trained(
        self,
        recipe: TrainingRecipe,
        excluded: NDArray[np.int64] | None = None,
        source: DatasetSource | None = None,
    ) -> tuple[Params, float]:
        """Return what a recipe gives, on the setting's device, and how long its training took in seconds.

        Args:
            recipe: of the training.
            excluded: positions left out; none if None.
            source: the data, if they are not the setting's own.
        """
        setting, data = self.setting, source or self.setting.source
        left_out = np.sort(excluded if excluded is not None else np.empty(0, dtype=np.int64))
        identity = [setting.name, _digest(data.manifest.labels), recipe.to_json(), _digest(left_out)]
        weights = self.folder / f"{setting.name}-{_digest(json.dumps(identity, sort_keys=True))}.safetensors"
        clock = weights.with_suffix(".json")
        if not clock.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            started_at = time.perf_counter()
            trained = train(setting.build, data, recipe, excluded=left_out, device=setting.device)
            seconds = time.perf_counter() - started_at
            write_file(weights, trained.params)
            clock.write_text(json.dumps({"seconds": seconds, "identity": identity}))
        seconds = float(json.loads(clock.read_text())["seconds"])
        return {name: tensor.to(setting.device) for name, tensor in read_file(weights).items()}, seconds


def _digest(content: str | NDArray[np.int64]) -> str:
    data = content.encode() if isinstance(content, str) else np.ascontiguousarray(content).tobytes()
    return hashlib.sha256(data).hexdigest()[:16]
