"""`lethe env`: what a process must be told to join the Lethe of a home folder, as lines for a shell."""

import os
import shlex
import sys
from pathlib import Path

import typer

from lethe.cli.connection import HomeOption, no_lethe_in
from lethe.home import DEFAULT_HOME, Home


def env(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the variables of the Lethe that is up here, with its admin key: eval "$(lethe env)".

    A shell that took them in can start one more worker by `python -m workers`, reach the database by
    `psql "${LETHE_DATABASE_URL/+psycopg/}"`, and use this command line from any folder.
    """
    folder = Home(home.resolve())
    running = folder.read_running()
    if running is None:
        raise no_lethe_in(folder)
    key = os.environ.get("LETHE_ADMIN_KEY") or folder.admin_key()
    told = {**running.variables, "LETHE_ADMIN_KEY": key, "LETHE_URL": running.url, "LETHE_KEY": key}
    for name, value in sorted(told.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")
    programs = filter(None, [str(Path(sys.executable).parent), running.programs])
    typer.echo(f'export PATH={shlex.quote(os.pathsep.join(programs))}:"$PATH"')
