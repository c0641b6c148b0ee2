"""`lethe up`: database, broker, relay, workers and API on this machine, until Ctrl-C."""

from typing import Annotated

import typer

from lethe import stack
from lethe.cli.connection import HomeOption
from lethe.home import DEFAULT_HOME, Home


def up(
    port: Annotated[int, typer.Option(help="TCP port of the API.")] = 8321,
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = "127.0.0.1",
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="How many workers; each computes one job at a time, and holds its models in memory."
        ),
    ] = 1,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Start everything on this machine and keep it alive until Ctrl-C."""
    stack.up(stack.Stack(Home(home.resolve()), host, port, workers), report=typer.echo)
