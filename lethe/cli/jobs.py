"""`lethe jobs`: what the workers have to do, what was parked and why, and how to put it back."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

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
    with connect(home) as client:
        jobs = [*client.jobs(state=state, model=model)]
    if not jobs:
        typer.echo("no such job")
    for job in jobs:
        typer.echo(f"{job.id}  {job.model}  {job.kind}  {job.state}, {job.attempts} attempts")
        if job.reason:
            typer.echo(f"  {job.reason}")
        if job.state == "parked":
            for entry in job.evidence:
                typer.echo(f"  attempt {_told(entry)}")


@app.command("retry")
def retry(
    job: Annotated[str, typer.Argument(help="Id of a parked job.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Put a parked job back; the requests that failed with it wait again."""
    with connect(home) as client:
        requests = client.retry_job(job)
    typer.echo(f"{job} is put back; {len(requests)} of its requests wait again")


def _told(entry: Mapping[str, Any]) -> str:
    """Return what one attempt left behind, as one line: an id that wraps could not be copied."""
    memory = entry.get("peak_memory_bytes")
    facts = (
        entry.get("stage"),
        f"serving {entry['served']}" if entry.get("served") else None,
        entry.get("signal") or entry.get("code") or entry["reason"],
        f"{memory / MEBIBYTE:.0f} MiB at most" if memory else None,
        entry.get("owner"),
    )
    return f"{entry['attempt']}, {entry['at']}: " + ", ".join(fact for fact in facts if fact)
