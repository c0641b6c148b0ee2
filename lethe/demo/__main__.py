"""`lethe demo`: plays the demo in a folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lethe.client import LetheError
from lethe.demo.story import play

DEFAULT_FOLDER = Path(".lethe/demo")


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the demo's models, evidence and plots go.")
    ] = DEFAULT_FOLDER,
) -> None:
    """Train, serve, forget a class and some samples, pull, verify; stops what it started."""
    try:
        play(folder, Console())
    except LetheError as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(demo)
