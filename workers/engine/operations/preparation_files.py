"""The files of a version beside its weights: what serving reads of it, and what the next request needs."""

from dataclasses import asdict
from typing import Any

from torch import Tensor

from workers.engine.messages import StoredFile
from workers.engine.workbench import CODES, CONFIG, Workbench
from workers.numerics import ensembles
from workers.preparation.prepared import Baseline


def keep_config(bench: Workbench, num_classes: int, guarantee: str | None) -> StoredFile:
    """Store what serving must know to use the weights."""
    normalisation = bench.source.normalisation
    record = {
        "architecture": ensembles.description(bench.spec.factory, bench.spec.arguments, bench.recipe.shards),
        "num_classes": num_classes,
        "input_shape": list(bench.source.input_shape),
        "normalisation": None if normalisation is None else asdict(normalisation),
        "guarantee": guarantee,
    }
    return bench.keep_json(CONFIG, record, is_public=True)


def keep_codes(bench: Workbench, codes: Tensor | None) -> list[StoredFile]:
    """Store the codes, if the model was trained with any."""
    return [] if codes is None else [bench.keep(CODES, {"codes": codes})]


def facts_of(baseline: Baseline) -> dict[str, Any]:
    """Return a version's accuracies as JSON."""
    record = asdict(baseline)
    record["accuracy_by_class"] = {str(label): value for label, value in baseline.accuracy_by_class.items()}
    return record
