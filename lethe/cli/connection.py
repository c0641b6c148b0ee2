"""Which Lethe a command talks to, with which key: that of the home folder, or that in `LETHE_URL`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lethe.client import LetheClient, LetheError
from lethe.home import Home

HomeOption = Annotated[Path, typer.Option("--home", help="Folder of the Lethe on this machine.")]


def connect(folder: Path) -> LetheClient:
    """Return a client of the server in `LETHE_URL`, or else of the one that is up in a home folder.

    The key of a home never goes to another server: with `LETHE_URL` comes `LETHE_KEY`.

    Raises:
        LetheError: Neither is there, or the key is missing.
    """
    key = os.environ.get("LETHE_KEY")
    if url := os.environ.get("LETHE_URL"):
        if not key:
            raise LetheError("LETHE_URL names a server, but LETHE_KEY holds no key for it. Set both.")
        return LetheClient(url, key)
    home = Home(folder.resolve())
    running = home.read_running()
    if running is None:
        raise no_lethe_in(home)
    return LetheClient(running.url, key or os.environ.get("LETHE_ADMIN_KEY") or home.admin_key())


def no_lethe_in(home: Home) -> LetheError:
    """Return the error of a home folder in which nothing is up."""
    return LetheError(
        f"No Lethe is up in {home.root}. Start one with `lethe up`, choose its folder with --home, or "
        "name a server in LETHE_URL."
    )
