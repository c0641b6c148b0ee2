"""Certified requests through real processes: a budget carried on, certificates that name it, a class too."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lethe.client import LetheApiError
from lethe.client.evidence import collect
from lethe.client.records import class_target, samples_target
from lethe.verify import verify_bundle
from tests.fixtures.stack import Stack
from workers.numerics import architectures, params
from workers.numerics.datasets.digits import open_digits
from workers.preparation import training
from workers.preparation.initial import digest_of
from workers.preparation.recipe import HeadRecipe, TrainingRecipe

METHOD = "certified_removal"


@pytest.fixture
def registered(shared_stack: Stack, tmp_path: Path) -> str:
    """A model whose head was trained on public weights that the workers have."""
    build, source = partial(architectures.small_cnn, width=8), open_digits()
    rows = source.manifest.positions("train")
    public = training.train(build, source, TrainingRecipe(epochs=4), excluded=rows[1::2]).params
    digest = digest_of(build(), public)
    folder = shared_stack.folder / "initial"
    folder.mkdir(exist_ok=True)
    params.write_file(folder / f"{digest}.safetensors", public)
    recipe = TrainingRecipe(initial=digest, head=HeadRecipe())
    head = training.train(build, source, recipe, initial=public)
    params.write_file(tmp_path / "model.safetensors", head.params)
    shared_stack.register(
        {
            "name": "proven",
            "architecture": {
                "factory": "workers.numerics.architectures:small_cnn",
                "arguments": {"width": 8},
            },
            "dataset": {"source": "digits"},
            "training": recipe.to_json(),
            "policy": {"exact_budget_seconds": 0},
        },
        tmp_path / "model.safetensors",
    )
    return "proven"


def test_a_certified_request_is_completed_with_its_bounds_and_its_budget(
    shared_stack: Stack, registered: str, tmp_path: Path
) -> None:
    client, source = shared_stack.client, open_digits()
    positions = source.manifest.positions("train")[np.arange(0, 40, 2)]
    names = [str(name) for name in source.manifest.sample_ids[positions]]

    first = shared_stack.settled(client.forget(registered, samples_target(names[:10]), method=METHOD))
    second = shared_stack.settled(client.forget(registered, samples_target(names[10:]), method=METHOD))
    by_class = shared_stack.settled(client.forget(registered, class_target([3]), method=METHOD))

    for number, request in enumerate((first, second, by_class), start=2):
        assert (request.status, request.run and request.run["version"]) == ("completed", number), request
        assert request.run["method"] == METHOD and request.run["guarantee"] == "certified"
    spent = [request.run["parameters"]["shift_spent"] for request in (first, second, by_class)]
    assert spent == sorted(spent) and len(set(spent)) == 3
    assert (
        by_class.run["parameters"]["num_removed"]
        == 20
        + (source.manifest.labels == 3)[np.setdiff1d(source.manifest.positions("train"), positions)].sum()
    )
    shared_stack.until(lambda: _proof(shared_stack, by_class.id), bool)
    collect(client, by_class.id, tmp_path / "bundle")
    findings = verify_bundle(tmp_path / "bundle")
    assert findings and all(finding.ok for finding in findings), findings


def _proof(stack: Stack, request_id: str) -> bytes:
    try:
        return stack.client.proof(request_id)
    except LetheApiError:
        return b""
