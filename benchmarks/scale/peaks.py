"""How much memory the engine's operations take at their peak, as multiples of the model's own bytes.

Each operation is run on a workbench as the engine runs it, in this process, with a shelf that keeps nothing
beyond its use: what is needed is counted, not what is kept in case it is asked for again. A thread reads what
the process holds of its own (RssAnon), which counts tensors, files' bytes and everything else, but no page
that the kernel may drop. Images are small (32 pixels) and few, so that what is counted is copies of the
weights; `activation_bytes` tells the rest, which grows with the batch and its pixels.
"""

import ctypes
import gc
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.memory import peak_bytes
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.storage.filesystem import FilesystemStore
from workers.engine.messages import (
    Audit,
    Carry,
    Group,
    ModelSpec,
    Prepare,
    Refresh,
    Step,
    StoredFile,
    Unlearn,
)
from workers.engine.operations.auditing import audit
from workers.engine.operations.carrying import carry
from workers.engine.operations.forgetting import unlearn
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.shelf import Shelf
from workers.engine.workbench import WEIGHTS, Workbench
from workers.numerics import architectures
from workers.numerics.datasets.base import Manifest, ReaderSource
from workers.numerics.fisher import diagonal_fisher
from workers.numerics.params import state_of
from workers.preparation.recipe import TrainingRecipe
from workers.unlearning import registry

NUM_CLASSES, NUM_PIXELS = 4, 32
A_SPLIT = {"train": 2, "holdout": 4, "test": 1}  # of each class
SAMPLE_SECONDS = 0.002
FACTORIES = {
    "resnet50": ("torchvision.models:resnet50", {"num_classes": NUM_CLASSES}),
    "vit_b_16": ("torchvision.models:vit_b_16", {"num_classes": NUM_CLASSES, "image_size": NUM_PIXELS}),
}
RECIPE = TrainingRecipe(steps=1, batch_size=4, code_mix=0.2)
STATED = {"repair": False, "rho": 0.1, "dampening": 1.0}
"""No search for a strength: it takes minutes, and holds one candidate more."""
SPACE = "large"


@dataclass(frozen=True)
class Peak:
    """What one operation took.

    Attributes:
        model: its architecture.
        operation: which.
        model_bytes: of its weights.
        peak_bytes: beside what the process held before.
        seconds: wall time.
    """

    model: str
    operation: str
    model_bytes: int
    peak_bytes: int
    seconds: float

    @property
    def multiple(self) -> float:
        """Of the model's bytes."""
        return self.peak_bytes / self.model_bytes


def peaks(model: str) -> Iterator[Peak]:
    """Yield the peaks of preparing, forgetting in three ways, auditing, carrying and refreshing."""
    with tempfile.TemporaryDirectory() as folder:
        bench, weights = _bench(Path(folder), model)
        size = weights.size
        base: tuple[StoredFile, ...] = ()
        candidate: StoredFile | None = None

        def measured(name: str, work: Callable[[Workbench], object]) -> tuple[Peak, object]:
            began = time.perf_counter()
            reply, taken = _peak(lambda: work(bench))
            return Peak(model, name, size, taken, time.perf_counter() - began), reply

        found, reply = measured(
            "prepare",
            lambda own: prepare(
                own,
                Prepare(
                    model=bench.spec,
                    weights_sha256=weights.sha256,
                    excluded=(),
                    lineage_path=str(Path(folder) / "lineage"),
                ),
                Pseudonymiser(b"k" * 32),
                _quiet,
            ),
        )
        base = reply.files  # type: ignore[attr-defined]
        yield found
        one_class = Group(kind="class", classes=(1,))
        some_samples = Group(kind="samples", positions=(0, 1))
        for name, group, method, parameters in (
            ("unlearn: one_shot, a class", one_class, "one_shot", {}),
            ("unlearn: ssd, a class", one_class, "ssd", STATED),
            ("unlearn: ssd, samples", some_samples, "ssd", STATED),
            ("unlearn: retrain, a step", some_samples, "retrain", {}),
        ):
            call = Unlearn(
                model=bench.spec,
                base=base,
                steps=(Step(**group.model_dump(), method=method, parameters=parameters),),
                forgotten_classes=(),
                forgotten_positions=(),
                seed=1,
            )
            found, reply = measured(name, lambda own, call=call: unlearn(own, call, _methods(), _quiet))  # type: ignore[misc]
            if candidate is None or (method == "ssd" and group is one_class):
                candidate = reply.weights  # type: ignore[attr-defined]
            yield found
        assert candidate is not None
        left = {"forgotten_classes": (), "forgotten_positions": ()}
        asked = Audit(
            model=bench.spec,
            base=base,
            weights_sha256=candidate.sha256,
            groups=(one_class,),
            guarantee="approximate",
            limits={},
            seed=1,
            **left,
        )
        yield measured("audit", lambda own: audit(own, asked, _quiet))[0]
        carried = Carry(
            model=bench.spec,
            base=base,
            weights=candidate,
            groups=(one_class,),
            is_retrained=False,
            guarantee="approximate",
            **left,
        )
        found, reply = measured("carry, for publishing", lambda own: carry(own, carried, _quiet))
        yield found
        again = Refresh(model=bench.spec, base=reply.files, forgotten_classes=(1,), forgotten_positions=())  # type: ignore[attr-defined]
        yield measured("refresh", lambda own: refresh(own, again, _quiet))[0]


def activation_bytes(model: str, num_pixels: int) -> float:
    """Return what one more sample in a batch of a Fisher pass takes at its peak, in bytes."""
    factory, arguments = FACTORIES[model]
    if "image_size" in arguments:
        arguments = {**arguments, "image_size": num_pixels}
    network = architectures.build(factory, arguments)
    params = state_of(network)

    def taken(num: int) -> int:
        batch = (torch.rand(num, 3, num_pixels, num_pixels), torch.zeros(num, dtype=torch.int64))
        return peak_bytes(lambda: diagonal_fisher(network, params, [batch]))

    return (taken(3) - taken(1)) / 2


def _bench(folder: Path, model: str) -> tuple[Workbench, StoredFile]:
    factory, arguments = FACTORIES[model]
    bench = Workbench(
        spec=ModelSpec(
            space=SPACE, factory=factory, arguments=arguments, dataset_name="noise", dataset={}, training={}
        ),
        source=_source(),
        recipe=RECIPE,
        allowed=frozenset(),
        store=FilesystemStore(folder),
        shelf=Shelf(0),
        device=torch.device("cpu"),
        initial_dir=folder / "initial",
        slices_dir=folder / "slices",
        records_dir=folder / "records",
        fisher_bytes=1 << 40,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        state = state_of(bench.build())
        # A vision transformer begins with a head of zeros, which nothing can be forgotten from.
        blank = [name for name, tensor in state.items() if tensor.ndim > 1 and not bool(tensor.any())]
        state |= {name: 0.02 * torch.randn_like(state[name]) for name in blank}
        return bench, bench.keep(WEIGHTS, state, is_public=True)


def _source() -> ReaderSource:
    labels = np.tile(np.arange(NUM_CLASSES), sum(A_SPLIT.values()))
    splits = [split for split, num in A_SPLIT.items() for _ in range(num * NUM_CLASSES)]
    images = torch.rand(len(labels), 3, NUM_PIXELS, NUM_PIXELS, generator=torch.Generator().manual_seed(0))

    def read(positions: NDArray[np.int64]) -> torch.Tensor:
        return images[positions]

    return ReaderSource("noise", Manifest.of(labels, splits), (3, NUM_PIXELS, NUM_PIXELS), read)


def _peak(work: Callable[[], object]) -> tuple[object, int]:
    """Return what a piece of work returns, and the most that this process held of its own meanwhile."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before, highest, is_over = _own_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not is_over.wait(SAMPLE_SECONDS):
            highest = max(highest, _own_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        reply = work()
    finally:
        is_over.set()
        watcher.join()
    return reply, max(highest - before, 0)


def _own_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("expected RssAnon in /proc/self/status, got none; this needs Linux")


def _methods():  # type: ignore[no-untyped-def]
    return registry.discover(registry.METHODS_PACKAGE)


def _quiet(_stage: str) -> Callable[[float], None]:
    return lambda _fraction: None
