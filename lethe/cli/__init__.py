"""The command line: one file a group of commands, gathered here."""

import sys

import typer

from lethe.cli import environment, evidence, forgetting, jobs, keys, models, reports, status, up
from lethe.cli.modules import add_module
from lethe.client import LetheError
from lethe.embedded.process import ProgramError
from lethe.home import HomeBusy
from service.core.ledger.errors import LedgerError

EXPECTED_ERRORS = (LetheError, ProgramError, HomeBusy, LedgerError)

app = typer.Typer(
    name="lethe",
    help="Deletes people from trained models, and leaves evidence that a stranger can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("up")(up.up)
app.command("env")(environment.env)
app.command("register")(models.register)
app.command("forget")(forgetting.forget)
app.command("watch")(forgetting.watch)
app.command("decide")(forgetting.decide)
app.command("status")(status.status)
app.command("pull")(models.pull)
app.command("evidence")(evidence.evidence)
app.command("verify")(evidence.verify)
app.command("report")(reports.report)
app.add_typer(keys.app, name="key")
app.add_typer(jobs.app, name="jobs")
add_module(app, "train", "lethe.train", "Train a described model here.")
add_module(app, "demo", "lethe.demo", "Train, serve, forget a class and some samples, pull, verify.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; an expected error is one message and status 1."""
    try:
        app(arguments, prog_name="lethe")
    except EXPECTED_ERRORS as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
