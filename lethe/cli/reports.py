"""`lethe report`: what the audits found for a request, in the terminal or as files to keep."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lethe.cli.connection import HomeOption, connect
from lethe.client import LetheApiError, LetheClient
from lethe.home import DEFAULT_HOME

PLOTS = ("scores", "reference", "classes", "resurrection")
SVG = "image/svg+xml"
NO_PLOT = "no_plot"


def report(
    request: Annotated[str, typer.Argument(help="Id of a request that a run has audited a candidate for.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for audit.json, audit.html and the drawings as SVG.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Show what the audits found, or write the whole report into a folder."""
    with connect(home) as client:
        data = client.report(request)
        if out is None:
            _tell(json.loads(data))
            return
        out.mkdir(parents=True, exist_ok=True)
        (out / "audit.json").write_bytes(data)
        (out / "audit.html").write_bytes(client.report(request, form="text/html"))
        drawn = [name for name in PLOTS if _draw(client, request, name, out / f"{name}.svg")]
    drawings = f"{len(drawn)} drawing{'' if len(drawn) == 1 else 's'}"
    typer.echo(f"{out} holds audit.json, audit.html and {drawings}")


def _draw(client: LetheClient, request: str, name: str, file: Path) -> bool:
    """Write one drawing, and tell whether the report has it."""
    try:
        file.write_bytes(client.report(request, form=SVG, plot=name))
    except LetheApiError as error:
        if error.code != NO_PLOT:
            raise
        return False
    return True


def _tell(found: dict[str, Any]) -> None:
    console = Console()
    console.print(found["statement"], highlight=False, markup=False)
    for rung in found["rungs"]:
        audit = rung["audit"]
        name = f"attempt {rung['number']}, {' and '.join(rung['methods'])}"
        if audit is None:
            console.print(f"{name}: no candidate", highlight=False, markup=False)
            continue
        table = Table(
            "check", "value", "95% interval", "limit", "result", title=f"{name}: {audit['verdict']}"
        )
        for check in audit["checks"]:
            spread = check["interval"]
            table.add_row(
                check["name"],
                _number(check["value"]),
                f"{_number(spread[0])} to {_number(spread[1])}" if spread else "-",
                _number(check["threshold"]),
                _result(check),
            )
        console.print(table)


def _result(check: dict[str, Any]) -> str:
    if not check.get("is_gate", True) or check.get("is_outranked", False):
        return "shown only"
    if not check.get("is_decided", True):
        return "could not tell"
    return "passed" if check["passed"] else "failed"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
