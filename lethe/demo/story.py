"""The demo from beginning to end: train, serve, forget twice, pull, look at the evidence, tidy up."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from lethe.bars import bar, request_bar
from lethe.client import LetheApiError, LetheClient, LetheError, pull
from lethe.client.evidence import collect
from lethe.client.records import ForgetRequest, Target, class_target, samples_target
from lethe.demo import figure, scores, setting
from lethe.demo.scores import Scores
from lethe.embedded.process import free_port
from lethe.home import Home
from lethe.verify import verify_bundle
from workers.numerics.datasets.base import DatasetSource
from workers.numerics.params import Params, read_file

START_SECONDS = 90.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.2
"""Between two looks at whether Lethe is up, or a model ready."""


def play(root: Path, console: Console) -> None:
    """Play the demo in a folder, which is made and may be looked at afterwards.

    Raises:
        LetheError: A step did not come out as it should.
    """
    root.mkdir(parents=True, exist_ok=True)
    source = setting.data()
    sample_ids = setting.forgotten_samples(source)
    weights = root / "trained.safetensors"
    with bar(console, "training a small network with mnemonic codes") as advance:
        setting.train_to(weights, source, advance)
    with lethe_up(root / "home", console) as client:
        name = f"{setting.MODEL}-{int(time.time())}"
        publish(client, name, weights, console)
        targets = (
            scores.class_target(source, setting.FORGOTTEN_CLASS),
            scores.samples_target(source, sample_ids, setting.FORGOTTEN_CLASS),
        )
        models = [read_file(weights)]
        asked: tuple[tuple[Target, str], ...] = (
            (class_target([setting.FORGOTTEN_CLASS]), "one_shot"),
            (samples_target(sample_ids), "ssd"),
        )
        requests = []
        for (target, method), shown in zip(asked, targets, strict=True):
            requests.append(forget(client, name, target, method, shown.title, console))
            models.append(fetch(client, name, root / "serving" / name, console))
        check_evidence(client, requests[-1], root / "evidence", console)
    gold = retrained(source, targets, console)
    rows = []
    for index, shown in enumerate(targets):
        three = zip(figure.MODELS, (models[index], models[index + 1], gold[index]), strict=True)
        rows.append((shown.title, {model: scores.score(one, source, shown) for model, one in three}))
    console.print(table_of(rows, requests))
    for path in figure.save(rows, root):
        console.print(f"plot: {path}", highlight=False)


@contextmanager
def lethe_up(folder: Path, console: Console) -> Iterator[LetheClient]:
    """Run `lethe up` beside this process and yield a client; it is stopped at the end, whatever happens."""
    home = Home(folder.resolve())
    port = free_port()
    command = [sys.executable, "-m", "lethe", "up", "--home", str(home.root), "--port", str(port)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        started_at = time.monotonic()
        while (running := home.read_running()) is None or running.pid != process.pid:
            if process.poll() is not None or time.monotonic() - started_at > START_SECONDS:
                raise LetheError(f"Lethe did not come up. See {folder / 'up.log'}.")
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - started_at
        console.print(f"lethe is up at {running.url} after {seconds:.1f} s", highlight=False)
        with LetheClient(running.url, home.admin_key()) as client:
            yield client
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        console.print("lethe is down", highlight=False)


def publish(client: LetheClient, name: str, weights: Path, console: Console) -> None:
    """Register the model over HTTP, upload its weights and wait until version 1 is served."""
    client.register_model(setting.registration(name))
    client.upload_weights(name, weights)
    while (model := client.model(name)).state == "preparing":
        time.sleep(POLL_SECONDS)
    if model.state != "ready":
        raise LetheError(f"The model was not accepted: it is {model.state}.")
    console.print(f"model {name}: version {model.served_version} is prepared and served", highlight=False)


def forget(
    client: LetheClient, name: str, target: Target, method: str, title: str, console: Console
) -> ForgetRequest:
    """POST one request, follow it with a progress bar, and see that the old version is gone."""
    base = client.model(name).served_version or 0
    request = client.forget(name, target, method=method, ground="art-17-1-a")
    with request_bar(console, f"forget {title}: ") as show:
        request = client.follow(request.id, show)
    if request.status != "completed":
        raise LetheError(f"The request is {request.status} ({request.reason}), not completed.")
    for rung in request.rungs:
        console.print(attempt(rung), highlight=False)
    run = request.run or {}
    console.print(f"{run.get('method')} did it; guarantee: {run.get('guarantee')}", highlight=False)
    try:
        with client.file(name, base, "model.safetensors"):
            pass
    except LetheApiError as error:
        console.print(f"version {base} now answers {error.status}: {error}", highlight=False)
    else:
        raise LetheError(f"Version {base} can still be pulled.")
    return request


def attempt(rung: Mapping[str, Any]) -> str:
    """Say how one attempt fared: the audit's verdict, and what it rests on if that is no pass."""
    told = f"attempt {rung['number']}, {' and '.join(rung['methods'])}: {rung['verdict'] or rung['failure']}"
    against = rung["failed"] or rung["undecided"]
    names = ", ".join(check["name"] for check in against)
    return f"{told} ({names}: {against[-1]['detail']})" if against else told


def fetch(client: LetheClient, name: str, folder: Path, console: Console) -> Params:
    """Pull what is served now, verified by digest, and return its weights."""
    pulled = pull(client, name, folder)
    if pulled is None:
        raise LetheError("There was nothing new to pull.")
    console.print(f"pulled version {pulled.version.version}, digests verified", highlight=False)
    return read_file(pulled.folder / "model.safetensors")


def check_evidence(client: LetheClient, request: ForgetRequest, folder: Path, console: Console) -> None:
    """Collect a request's evidence and verify it as a stranger would, from the files alone."""
    collect(client, request.id, folder)
    findings = verify_bundle(folder, key=client.log_vkey())
    for finding in findings:
        console.print(f"{'ok ' if finding.ok else 'BAD'} {finding.what}: {finding.detail}", highlight=False)
    if not all(finding.ok for finding in findings):
        raise LetheError("The evidence does not hold.")


def retrained(source: DatasetSource, targets: tuple[scores.Target, ...], console: Console) -> list[Params]:
    """Train the reference of each request: a model that never saw what was forgotten up to it."""
    gold, gone = [], np.empty(0, dtype=np.int64)
    for target in targets:
        gone = np.union1d(gone, target.forgotten)
        with bar(console, f"retraining without {target.title}, for comparison") as advance:
            gold.append(setting.trained(source, gone, advance))
    return gold


def table_of(rows: list[tuple[str, dict[str, Scores]]], requests: list[ForgetRequest]) -> Table:
    """Return the demo's result."""
    table = Table(title="what was forgotten, and what it cost")
    for column in ("request", "model", "kept %", "forgotten %", "attack (AUC)"):
        justify: Literal["left", "right"] = "left" if column in ("request", "model") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for (title, by_model), request in zip(rows, requests, strict=True):
        method = (request.run or {}).get("method", "")
        for model, one in by_model.items():
            table.add_row(
                title if model == figure.MODELS[0] else "",
                f"{model} ({method})" if model == "after" else model,
                f"{100 * one.retained:.1f}",
                f"{100 * one.forgotten:.1f}",
                f"{one.attack.value:.2f} [{one.attack.low:.2f}, {one.attack.high:.2f}]",
                end_section=model == figure.MODELS[-1],
            )
    return table
