"""`lethe key`: make, list and revoke API keys."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lethe.cli.connection import HomeOption, connect
from lethe.home import DEFAULT_HOME

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scopes: Annotated[list[str], typer.Option("--scope", help="What it may do, e.g. requests:write.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make a key; it is shown this once."""
    with connect(home) as client:
        created = client.create_api_key(name, scopes)
    typer.echo(f"id {created.id}", err=True)
    typer.echo(created.key)


@app.command("list")
def show(home: HomeOption = DEFAULT_HOME) -> None:
    """List the keys, without their secrets."""
    table = Table("id", "name", "scopes", "revoked")
    with connect(home) as client:
        for key in client.api_keys():
            revoked = f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
            table.add_row(key.id, key.name, " ".join(key.scopes), revoked)
    Console().print(table)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """End a key at once."""
    with connect(home) as client:
        client.revoke_api_key(key)
    typer.echo(f"{key} is revoked")
