"""`lethe jobs`: what the workers have to do, what was parked and why, and how to put it back."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lethe.cli.connection import HomeOption, connect
from lethe.home import DEFAULT_HOME

MEBIBYTE = 2**20

app = typer.Typer(help="List the jobs, look at a parked one, put it back.", no_args_is_help=True)


@app.command("list")
def show(
    state: Annotated[
        str | None, typer.Option(help="ready, running, parked or done; all that are not done if left out.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """List jobs, newest first, with what each attempt at a parked one left behind."""
    table = Table("job", "model", "kind", "state", "attempts", "reason")
    attempts = Table("job", "attempt", "at", "stage", "served", "ended by", "memory", "worker")
    with connect(home) as client:
        for job in client.jobs(state=state, model=model):
            table.add_row(job.id, job.model, job.kind, job.state, str(job.attempts), job.reason or "")
            if job.state == "parked":
                for entry in job.evidence:
                    attempts.add_row(job.id, *_told(entry))
    console = Console()
    console.print(table)
    if attempts.row_count:
        console.print(attempts)


@app.command("retry")
def retry(
    job: Annotated[str, typer.Argument(help="Id of a parked job.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Put a parked job back; the requests that failed with it wait again."""
    with connect(home) as client:
        requests = client.retry_job(job)
    typer.echo(f"{job} is put back; {len(requests)} of its requests wait again")


def _told(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one attempt's line."""
    end = entry.get("signal") or entry.get("code") or entry["reason"]
    memory = entry.get("peak_memory_bytes")
    return (
        str(entry["attempt"]),
        entry["at"],
        entry.get("stage") or "",
        str(entry.get("served") or ""),
        end,
        f"{memory / MEBIBYTE:.0f} MiB" if memory else "",
        entry.get("owner") or "",
    )
