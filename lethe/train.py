"""`lethe train`: trains a described model here, with mnemonic codes where its recipe says so."""

import sys
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
from workers.numerics.params import write_file
from workers.preparation import training
from workers.preparation.recipe import RecipeError, TrainingRecipe

EXPECTED_ERRORS = (LetheError, ArchitectureError, DatasetError, RecipeError, training.TrainingError, KeyError)


def train(
    file: Annotated[Path, typer.Argument(help="JSON or TOML file, as `lethe register` reads it.")],
    out: Annotated[Path, typer.Option(help="File for the weights (safetensors).")],
    device: Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:N.")] = "cpu",
) -> None:
    """Train a described model and write its weights."""
    try:
        seconds, accuracy = _train(description.read(file), out, device)
    except EXPECTED_ERRORS as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    held_out = f", {100 * accuracy:.1f} % of the holdout right" if accuracy is not None else ""
    typer.echo(f"{out} holds the weights: {seconds:.1f} s{held_out}")


def _train(described: dict[str, Any], out: Path, device: str) -> tuple[float, float | None]:
    factory, arguments = described["architecture"]["factory"], described["architecture"].get("arguments", {})
    build = partial(architectures.build, factory, arguments, frozenset({factory}))
    recipe = TrainingRecipe.from_json(described.get("training", {}))
    with bar(Console(), "training") as advance:
        trained = training.train(
            build, open_source(described["dataset"]), recipe, device=device, progress=advance
        )
    write_file(out, trained.params)
    return trained.seconds, trained.accuracy_holdout


if __name__ == "__main__":
    typer.run(train)
