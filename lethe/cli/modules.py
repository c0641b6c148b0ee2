"""Commands that are programs of their own, so that the command line never imports what they need."""

import os
import sys

import typer


def add_module(app: typer.Typer, name: str, module: str, summary: str) -> None:
    """Add a command that becomes `python -m module` with the arguments it was given, `--help` included."""

    def become(context: typer.Context) -> None:
        os.execv(sys.executable, [sys.executable, "-m", module, *context.args])  # noqa: S606 - a list, no shell

    app.command(
        name,
        help=summary,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(become)
