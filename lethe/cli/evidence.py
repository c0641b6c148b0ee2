"""`lethe evidence` and `lethe verify`: a request's evidence as a folder, and its check offline."""

from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.connection import HomeOption, connect
from lethe.client.evidence import collect
from lethe.home import DEFAULT_HOME
from lethe.verify import verify_bundle


def evidence(
    request: Annotated[str, typer.Argument(help="Id of a completed request.")],
    out: Annotated[Path, typer.Option(help="Folder for the evidence.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Download a request's certificate with all that is needed to check it."""
    with connect(home) as client:
        num_entries = collect(client, request, out)
    typer.echo(
        f"{out} holds the certificate and a log of {num_entries} entries; check it by `lethe verify {out}`"
    )


def verify(
    directory: Annotated[
        Path, typer.Argument(help="Folder made by `lethe evidence`.", exists=True, file_okay=False)
    ],
    key: Annotated[str | None, typer.Option(help="The log's public key, had by another way.")] = None,
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint kept from earlier, which the log must still begin with.")
    ] = None,
) -> None:
    """Check evidence offline; status 1 if anything does not hold."""
    findings = verify_bundle(directory, key=key, since=since.read_bytes() if since else None)
    for finding in findings:
        mark = (
            typer.style("ok  ", fg=typer.colors.GREEN)
            if finding.ok
            else typer.style("FAIL", fg=typer.colors.RED)
        )
        typer.echo(f"{mark} {finding.what}: {finding.detail}")
    if not findings or not all(finding.ok for finding in findings):
        raise typer.Exit(1)
