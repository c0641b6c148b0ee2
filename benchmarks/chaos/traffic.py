"""Clients of the suffering Lethe: they register models, ask to forget, and keep what was promised.

A client that gets no answer asks again with the same Idempotency-Key until it gets one, as a good client
does; a request counts as promised from its 202 on, whatever happened before.
"""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from benchmarks.chaos.checker import Promise
from benchmarks.chaos.cluster import Cluster
from lethe.client.errors import LetheError, may_pass
from lethe.client.records import samples_target
from workers.numerics import architectures
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

FACTORY = "workers.numerics.architectures:small_cnn"
ARGUMENTS = {"in_channels": 1, "num_classes": 10, "width": 4}
RECIPE = TrainingRecipe(steps=30, batch_size=32, learning_rate=0.1)
POLICY = {
    "exact_budget_seconds": 600,
    "audit_limits": {"retrained_mean_drop": 1.0},  # a network this small may lose anything
}
STUDY_SECONDS = 3.0  # of one model; with all of them studying, nobody would come to rest
RETRY_SECONDS = 0.2
MOST_SAMPLES = 3


def register(cluster: Cluster, names: Sequence[str]) -> None:
    """Register one small network under several names; it is trained the first time."""
    weights = cluster.folder / "weights.safetensors"
    if not weights.exists():
        source = open_source({"source": "digits"})
        write_file(weights, train(lambda: architectures.build(FACTORY, ARGUMENTS), source, RECIPE).params)
    for name in names:
        cluster.client.register_model(
            {
                "name": name,
                "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
                "dataset": {"source": "digits"},
                "training": RECIPE.to_json(),
                "policy": {**POLICY, "study_seconds": STUDY_SECONDS if name == names[0] else 0},
            }
        )
        cluster.client.upload_weights(name, weights)


def sample_ids() -> list[str]:
    """Return the ids of all training samples."""
    manifest = open_source({"source": "digits"}).manifest
    return [str(each) for each in manifest.sample_ids[manifest.positions("train")]]


@dataclass
class Traffic:
    """One client that posts one request after another until it is stopped.

    Attributes:
        cluster: where it posts.
        models: that it asks about; may be changed while it pauses.
        samples: ids it asks to forget.
        seed: of its choices.
        seconds_between: pause after each accepted request.
    """

    cluster: Cluster
    models: Sequence[str]
    samples: Sequence[str]
    seed: int
    seconds_between: float
    promises: list[Promise] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing is posted yet."""
        self._random = Random(self.seed)
        self._may_post = threading.Event()
        self._is_over = threading.Event()
        self._is_idle = threading.Event()
        self._thread = threading.Thread(target=self._post_all, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Post."""
        self._is_idle.clear()
        self._may_post.set()

    def pause(self) -> None:
        """Stop after the present request is accepted, and wait for that."""
        self._may_post.clear()
        self._is_idle.wait()

    def close(self) -> None:
        """Stop for good."""
        self._is_over.set()
        self._may_post.set()
        self._thread.join()

    def _post_all(self) -> None:
        while not self._is_over.is_set():
            if not self._may_post.is_set():
                self._is_idle.set()
                self._may_post.wait()
                continue
            self._post(self._random.choice(self.models))
            self._is_over.wait(self.seconds_between)

    def _post(self, model: str) -> None:
        chosen = self._random.sample(self.samples, self._random.randint(1, MOST_SAMPLES))
        key = uuid.UUID(int=self._random.getrandbits(128)).hex
        while not self._is_over.is_set():
            try:
                request = self.cluster.client.forget(model, samples_target(chosen), idempotency_key=key)
            except LetheError as error:
                if not may_pass(error):
                    self.refusals.append(f"a request for {model} was refused: {error}")
                    return
                self._is_over.wait(RETRY_SECONDS)
                continue
            self.promises.append(Promise(request.id, model, len(self.promises)))
            return
