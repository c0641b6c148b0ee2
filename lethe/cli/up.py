"""`lethe up`: database, broker, relay, worker and API on this machine, until Ctrl-C."""

from typing import Annotated

import typer

from lethe import stack
from lethe.cli.connection import HomeOption
from lethe.home import DEFAULT_HOME, Home


def up(
    port: Annotated[int, typer.Option(help="TCP port of the API.")] = 8321,
    host: Annotated[str, typer.Option(help="Address that the API listens on.")] = "127.0.0.1",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Start everything on this machine and keep it alive until Ctrl-C."""
    stack.up(stack.Stack(Home(home.resolve()), host, port), report=typer.echo)
