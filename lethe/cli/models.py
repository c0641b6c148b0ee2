"""`lethe register` and `lethe pull`: a model goes in, its newest version comes out."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lethe import description as description_file
from lethe.cli.connection import HomeOption, connect
from lethe.client import LetheClient, LetheUnreachable
from lethe.client import pull as pull_version
from lethe.home import DEFAULT_HOME

WATCH_SECONDS = 30
RETRY_SECONDS = 5.0


def register(
    description: Annotated[
        Path | None,
        typer.Argument(help="JSON or TOML file: name, architecture, dataset, training, policy, weights."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.")] = None,
    factory: Annotated[str | None, typer.Option(help="What builds it, as module:callable.")] = None,
    arguments: Annotated[str | None, typer.Option(help="The factory's arguments, as JSON.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help='What it learned from, as JSON: {"source": ...}.')
    ] = None,
    training: Annotated[str | None, typer.Option(help="How it was trained, as JSON.")] = None,
    policy: Annotated[str | None, typer.Option(help="Its policy, as JSON.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights, a safetensors file.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register a model and upload its weights; options override what the file says."""
    registration = description_file.read(description) if description else {}
    given = {"name": name, "dataset": _json(dataset), "training": _json(training), "policy": _json(policy)}
    registration |= {field: value for field, value in given.items() if value is not None}
    if factory:
        registration["architecture"] = {"factory": factory, "arguments": _json(arguments) or {}}
    missing = [field for field in ("name", "architecture", "dataset") if field not in registration]
    if missing:
        raise typer.BadParameter(f"The model still needs {', '.join(missing)}: as options, or in a file.")
    described_weights = registration.pop("weights", None)
    if weights is None and described_weights is not None and description is not None:
        weights = description.parent / described_weights
    with connect(home) as client:
        model = client.register_model(registration)
        if weights is not None:
            model = client.upload_weights(model.name, weights)
    typer.echo(f"{model.name} is {model.state}")


def pull(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    out: Annotated[Path, typer.Option(help="Folder for its versions; `current` links to the one to serve.")],
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and pull each new version.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Pull the served version, verified; delete what has been revoked."""
    with connect(home) as client:
        _pull_once(client, model, out, wait_seconds=0)
        while watch:
            try:
                _pull_once(client, model, out, wait_seconds=WATCH_SECONDS)
            except LetheUnreachable as error:
                typer.echo(f"{error} Trying again.", err=True)
                time.sleep(RETRY_SECONDS)


def _pull_once(client: LetheClient, model: str, out: Path, wait_seconds: int) -> None:
    pulled = pull_version(client, model, out, wait_seconds=wait_seconds)
    if pulled is not None:
        removed = (
            f"; deleted {', '.join(f'v{number}' for number in pulled.removed)}" if pulled.removed else ""
        )
        typer.echo(f"{out / 'current'} is {model} version {pulled.version.version}{removed}")
    elif not wait_seconds:
        typer.echo(f"{out / 'current'} is up to date")


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"JSON was expected: {error}") from error
