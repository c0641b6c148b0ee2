"""`lethe train`: trains or fine-tunes a described model here, with mnemonic codes if its recipe says so."""

import hashlib
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lethe import description
from lethe.bars import bar
from lethe.client import LetheError
from workers.numerics import architectures
from workers.numerics.architectures import ArchitectureError
from workers.numerics.datasets.base import DatasetError
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import Params, WeightsError, read_file, write_file
from workers.preparation import checkpoints, initial, training
from workers.preparation.checkpoints import Checkpoints
from workers.preparation.recipe import RecipeError, TrainingRecipe
from workers.preparation.slices import Slices
from workers.preparation.training import Build, Trained
from workers.preparation.update_log.recorder import Recorder
from workers.preparation.update_log.recording import Account, Granularity, Layout, Precision, Recording

EXPECTED_ERRORS = (
    LetheError,
    ArchitectureError,
    DatasetError,
    RecipeError,
    WeightsError,
    training.TrainingError,
    KeyError,
)


def train(
    file: Annotated[Path, typer.Argument(help="JSON or TOML file, as `lethe register` reads it.")],
    out: Annotated[Path, typer.Option(help="File for the weights (safetensors).")],
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Weights to start from (safetensors), to fine-tune them by the recipe."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File to keep the training in: killed, the same command goes on from it."),
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Time between two checkpoints.")
    ] = checkpoints.EVERY_SECONDS,
    slices: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the states after each slice, if the recipe has shards or slices: killed, the "
            "same command goes on from them. `slices` beside the weights, if not given."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:N.")] = "cpu",
    record: Annotated[
        Path | None,
        typer.Option(
            help="Folder for an update log, by which `amnesiac` methods forget. It is personal data."
        ),
    ] = None,
    record_by: Annotated[Granularity, typer.Option(help="What a record is of.")] = Granularity.SAMPLE,
    record_as: Annotated[
        Account, typer.Option(help="A step's change, or a gradient's share of all later steps.")
    ] = Account.TAIL,
    record_share: Annotated[
        float, typer.Option(help="Share of the recorded weights that each record keeps, drawn for it.")
    ] = 1.0,
    record_layers: Annotated[
        int | None, typer.Option(help="Record this many layers, counted from the output; else all.")
    ] = None,
    record_dtype: Annotated[Precision, typer.Option(help="How a value is kept.")] = Precision.FLOAT32,
) -> None:
    """Train a described model and write its weights."""
    try:
        _check_paths(out, start, checkpoint, record)
        recorder = None
        if record is not None:
            asked = Recording(record_by, record_as, record_share, record_layers, record_dtype)
            recorder = Recorder(record, asked, _say_size)
        described = description.read(file)
        recipe = TrainingRecipe.from_json(described.get("training", {}))
        build = _builder(described)
        weights = None if start is None else _weights(start)
        if weights is not None and recipe.initial is None:
            recipe = replace(recipe, initial=initial.digest_of(build(), weights))
            _say_initial(file, recipe)
        kept = None if checkpoint is None else Checkpoints(checkpoint, checkpoint_seconds, _warn)
        states = _states(recipe, slices, out, checkpoint)
        with bar(Console(), "training") as advance:
            trained = training.train(
                build,
                open_source(described["dataset"]),
                recipe,
                initial=weights,
                device=device,
                checkpoints=kept,
                slices=states,
                recorder=recorder,
                progress=advance,
            )
        _write(out, trained, kept)
    except EXPECTED_ERRORS as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    resumed = f", resumed after step {trained.resumed_at} of {trained.steps}" if trained.resumed_at else ""
    accuracy = trained.accuracy_holdout
    held_out = f", {100 * accuracy:.1f} % of the holdout right" if accuracy is not None else ""
    typer.echo(f"{out} holds the weights: {trained.seconds:.1f} s{resumed}{held_out}")
    if states is not None:
        typer.echo(
            f"{states.root} holds the states after each slice. With them in the workers' `slices` folder "
            "forgetting is cheaper; they know what the model knows, so keep them as private or delete them."
        )
    if record is not None:
        typer.echo(
            f"{record} holds the update log, personal data like the images. Move it into the workers' data "
            f"folder as records/{_sha256(out)}, and keep no copy."
        )


def _builder(described: dict[str, Any]) -> Build:
    factory, arguments = described["architecture"]["factory"], described["architecture"].get("arguments", {})
    return partial(architectures.build, factory, arguments, frozenset({factory}))


def _check_paths(out: Path, start: Path | None, checkpoint: Path | None, record: Path | None) -> None:
    """Refuse before hours of training what could only fail, or overwrite, after them."""
    named = [path.resolve() for path in (out, start, checkpoint, record) if path is not None]
    if len(set(named)) < len(named):
        raise LetheError(
            "--out, --from, --checkpoint and --record were expected to name different files. Rename one."
        )
    if record is not None and record.exists() and not record.is_dir():
        raise LetheError(f"{record} was expected to be a folder for the update log. Name another.")
    for path in (out, checkpoint, record):
        if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            raise LetheError(f"{path.parent} was expected to be a folder to write {path.name} to. Make it.")
        if path is not None and path is not record and path.is_dir():
            raise LetheError(f"{path} was expected to be a file, and is a folder. Name a file in it.")


def _states(recipe: TrainingRecipe, slices: Path | None, out: Path, checkpoint: Path | None) -> Slices | None:
    """Return where a training in shards keeps its states; None of any other."""
    if (checkpoint if recipe.is_sharded else slices) is not None:
        raise LetheError(
            "--slices was expected with a recipe that has shards or slices, and --checkpoint with any other. "
            "Give the other."
        )
    return Slices(slices or out.parent / "slices", _warn) if recipe.is_sharded else None


def _weights(start: Path) -> Params:
    try:
        return read_file(start)
    except OSError as error:
        raise LetheError(f"{start} was expected to hold the weights to start from: {error}.") from error


def _write(out: Path, trained: Trained, kept: Checkpoints | None) -> None:
    """Write the weights, and only then let go of the checkpoint."""
    try:
        write_file(out, trained.params)
    except OSError as error:
        again = f", then run the same command again: {kept.path} holds the training" if kept else ""
        raise LetheError(f"{out} could not be written ({error.strerror}). Make room{again}.") from error
    if kept is not None:
        kept.remove()


def _say_initial(file: Path, recipe: TrainingRecipe) -> None:
    typer.echo(
        "The recipe starts from given weights. To train by it again, it must name them: "
        f'put "initial": "{recipe.initial}" into `training` of {file}, and keep the weights.'
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _say_size(layout: Layout) -> None:
    typer.echo(
        f"The update log takes {layout.num_bytes:,} bytes: {layout.num_records:,} records of "
        f"{layout.record_bytes:,} for {layout.num_kept:,} of {layout.num_entries:,} weights."
    )


def _warn(error: OSError) -> None:
    typer.secho(f"warning: no checkpoint written ({error.strerror}); training goes on", err=True)


if __name__ == "__main__":
    typer.run(train)
