"""Takes a call to the operation that answers it, on the workbench of the call's model."""

import gc
import json
import os
from collections.abc import Callable
from pathlib import Path

import torch

from service.core.ledger.keys import load_or_create_noise_key, load_or_create_pseudonym_key
from service.core.ledger.pseudonyms import Pseudonymiser
from service.core.storage.filesystem import FilesystemStore
from workers.engine import messages
from workers.engine.messages import (
    Audit,
    Call,
    Carry,
    Catalogue,
    CatalogueReply,
    Message,
    ModelSpec,
    Prepare,
    Refresh,
    Study,
    Sweep,
)
from workers.engine.operations.auditing import audit
from workers.engine.operations.carrying import carry
from workers.engine.operations.forgetting import unlearn
from workers.engine.operations.preparing import prepare
from workers.engine.operations.refreshing import refresh
from workers.engine.operations.studying import study
from workers.engine.operations.sweeping import sweep
from workers.engine.shelf import Shelf
from workers.engine.workbench import Workbench
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.datasets.registry import open_source
from workers.numerics.precision import Precision
from workers.preparation.recipe import TrainingRecipe
from workers.settings import WorkerSettings
from workers.unlearning import registry

Tell = Callable[[messages.Progress], None]


class Operations:
    """The engine's abilities over one store, with what it has loaded.

    Args:
        settings: The worker's settings.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._store = FilesystemStore(settings.store_dir)
        self._shelf = Shelf(_shelf_bytes(settings))
        self._sources: dict[str, DatasetSource] = {}
        self._device = torch.device(settings.device)
        self._allowed = frozenset(filter(None, settings.allowed_factories.split(",")))
        self._roots = [Path(root) for root in filter(None, settings.data_roots.split(os.pathsep))]
        extra = filter(None, settings.extra_methods.split(","))
        self._methods = registry.discover(registry.METHODS_PACKAGE, *extra)

    @property
    def shelf(self) -> Shelf:
        """What is kept in memory between calls."""
        return self._shelf

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    def run(self, call: Call, tell: Tell) -> Message:
        """Do what a call asks and return its reply; `tell` hears of progress."""

        def at(stage: str) -> Callable[[float], None]:
            return lambda fraction: tell(messages.Progress(stage=stage, fraction=fraction))

        if isinstance(call, Catalogue):
            return CatalogueReply(methods=[{**registry.describe(one)} for one in self._methods.values()])
        bench = self._bench(call.model)
        if isinstance(call, Prepare):
            key = load_or_create_pseudonym_key(self._settings.pseudonym_key_path)
            return prepare(bench, call, Pseudonymiser(key), at)
        if isinstance(call, Audit):
            return audit(bench, call, at)
        if isinstance(call, Carry):
            return carry(bench, call, at)
        if isinstance(call, Refresh):
            return refresh(bench, call, at)
        if isinstance(call, Sweep):
            return sweep(bench, call)
        if isinstance(call, Study):
            return study(bench, call, self._methods, at)
        return unlearn(bench, call, self._methods, at)

    def make_room(self) -> None:
        """Let go of what is kept ready: memory ran out."""
        self._shelf.clear()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _bench(self, spec: ModelSpec) -> Workbench:
        key = json.dumps(spec.dataset, sort_keys=True)
        if key not in self._sources:
            self._sources[key] = open_source(spec.dataset, self._roots)
        recipe = TrainingRecipe.from_json(spec.training)
        noise_key_path = self._settings.noise_key_path
        return Workbench(
            spec=spec,
            source=self._sources[key],
            recipe=recipe,
            allowed=self._allowed,
            store=self._store,
            shelf=self._shelf,
            device=self._device,
            initial_dir=self._settings.initial_dir,
            slices_dir=self._settings.slices_dir,
            records_dir=self._settings.records_dir,
            fisher_bytes=self._settings.fisher_bytes,
            precision=Precision(self._settings.precision),
            noise_key=b"" if recipe.head is None else load_or_create_noise_key(noise_key_path),
        )


def _shelf_bytes(settings: WorkerSettings) -> int:
    """Return what may lie on the shelf: at most half of the engine's memory, if that is bounded."""
    return min(settings.cache_bytes, settings.memory_bytes // 2 or settings.cache_bytes)
