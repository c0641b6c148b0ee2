"""What only a worker can find out: unreadable rows, and uploads that are no weights of the model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import select

from lethe.client.records import class_target, samples_target, subject_target
from service.core.db.session import transaction
from service.core.queue.models import Job, JobKind, JobState
from tests.fixtures.digits import TrainedDigits
from tests.fixtures.stack import Stack
from workers.numerics import architectures
from workers.numerics.params import read_file, state_of, to_bytes

ALWAYS_RETRAIN = {"class_ladder": ["retrain"], "samples_ladder": ["retrain"]}


def a_pickle(good: Path) -> bytes:
    return b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07anyhow.\x94."


def a_truncated_file(good: Path) -> bytes:
    return good.read_bytes()[:-100]


def nothing(good: Path) -> bytes:
    return b""


def another_architecture(good: Path) -> bytes:
    return to_bytes(state_of(architectures.mlp(64)))


def weights_with_a_nan(good: Path) -> bytes:
    params = read_file(good)
    first = next(name for name, tensor in params.items() if tensor.is_floating_point())
    params[first] = torch.full_like(params[first], float("nan"))
    return to_bytes(params)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (a_pickle, "safetensors"),
        (a_truncated_file, "safetensors"),
        (nothing, "safetensors"),
        (another_architecture, "missing"),
        (weights_with_a_nan, "finite"),
    ],
)
def test_an_upload_that_is_no_weights_of_the_model_is_refused_and_can_be_replaced(
    shared_stack: Stack,
    trained_digits: TrainedDigits,
    tmp_path: Path,
    make: Callable[[Path], bytes],
    word: str,
) -> None:
    client, name = shared_stack.client, make.__name__
    (tmp_path / "bad").write_bytes(make(trained_digits.weights))
    client.register_model(trained_digits.registration(name))

    client.upload_weights(name, tmp_path / "bad")
    refused = shared_stack.until(lambda: client.model(name), lambda model: model.state == "failed")
    client.upload_weights(name, trained_digits.weights)
    accepted = shared_stack.until(lambda: client.model(name), lambda model: model.state == "ready")

    assert word in refused.reason
    assert accepted.served_version == 1


def test_a_row_that_cannot_be_read_fails_the_run_under_its_pseudonym(
    shared_stack: Stack, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    register_images(shared_stack, trained_digits, tmp_path, "torn")
    (tmp_path / "images" / "5.png").write_bytes(b"no picture any more")

    request = shared_stack.settled(shared_stack.client.forget("torn", samples_target(["sample-7"])))

    assert (request.status, request.reason) == ("failed", "row_unreadable")
    assert shared_stack.client.model("torn").served_version == 1
    with transaction(shared_stack.sessions) as session:
        is_parked_run = (Job.state == JobState.PARKED, Job.kind == JobKind.UNLEARN)
        reason = session.scalars(select(Job.reason).where(*is_parked_run)).one()
    assert reason is not None
    assert "pseudonym" in reason and "sample-5" not in reason and "5.png" not in reason


def test_a_person_and_then_a_class_of_one_sample_are_forgotten(
    shared_stack: Stack, trained_digits: TrainedDigits, tmp_path: Path
) -> None:
    register_images(shared_stack, trained_digits, tmp_path, "people")
    client = shared_stack.client

    person = shared_stack.settled(client.forget("people", subject_target("person-4")))
    lonely = shared_stack.settled(client.forget("people", class_target([9])))
    nobody = client.forget("people", subject_target("person-999"))

    assert (person.status, lonely.status) == ("completed", "completed")
    assert lonely.target["num_samples"] == 1
    assert (nobody.status, nobody.reason) == ("rejected", "no_match")


def register_images(stack: Stack, trained_digits: TrainedDigits, tmp_path: Path, name: str) -> None:
    """Register a model of 60 digits as an image folder, nine people, and a single nine."""
    folder = tmp_path / "images"
    folder.mkdir()
    source = trained_digits.source
    train = source.manifest.positions("train")
    labels = source.manifest.labels[train]
    chosen = np.sort(np.concatenate([train[labels != 9][:59], train[labels == 9][:1]]))
    images = (source.images(chosen).numpy() * 255).astype(np.uint8)
    rows = ["sample_id,file,label,subject_id,split"]
    for index, (image, label) in enumerate(zip(images, source.manifest.labels[chosen], strict=True)):
        Image.fromarray(image[0]).save(folder / f"{index}.png")
        split = "train" if index < 50 or label == 9 else "holdout"
        rows.append(f"sample-{index},{index}.png,{label},person-{index % 9},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    registration = trained_digits.registration(name, **ALWAYS_RETRAIN)
    stack.register(
        {**registration, "dataset": {"source": "images", "path": str(folder), "name": name}},
        trained_digits.weights,
    )
