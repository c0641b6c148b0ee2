"""`lethe forget`, `lethe watch` and `lethe decide`: ask a model to forget, follow it, and decide."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lethe import sample_ids
from lethe.bars import request_bar
from lethe.cli.connection import HomeOption, connect
from lethe.client import LetheClient
from lethe.client.records import ForgetRequest, Target, class_target, samples_target, subject_target
from lethe.home import DEFAULT_HOME


def forget(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    classes: Annotated[list[int] | None, typer.Option("--class", help="A class by its label.")] = None,
    samples: Annotated[list[str] | None, typer.Option("--sample", help="A sample by your id.")] = None,
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--from", help="A file of samples, one of your ids a line; - reads them from a pipe."),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="A person by your id.")] = None,
    method: Annotated[str, typer.Option(help="An unlearning method, or auto.")] = "auto",
    ground: Annotated[str | None, typer.Option(help="Legal ground, e.g. art-17-1-a.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until it is done.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Ask a model to forget classes, samples or a person."""
    target = _target(classes or [], samples or [], file, subject)
    with connect(home) as client:
        request = client.forget(model, target, method=method, ground=ground)
        typer.echo(f"request {request.id} is {request.status}, due by {request.due_at:%Y-%m-%d}")
        if watch:
            follow(client, request.id)


def watch(
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Follow a request until it is done; status 1 if it was not completed."""
    with connect(home) as client:
        follow(client, request)


def decide(
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    decision: Annotated[str, typer.Argument(help="accept, approve, deny or extend.")],
    reason: Annotated[str, typer.Option(help="A reason code, e.g. risk_assessed; nothing about a person.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Decide on a request that waits for a person, in your own name: with your own key in LETHE_KEY."""
    with connect(home) as client:
        _tell(Console(), client.decide(request, decision, reason))


def follow(client: LetheClient, request_id: str) -> ForgetRequest:
    """Show a request's progress until it rests, then what its audit found.

    Raises:
        typer.Exit: With status 1, when it rests without being completed.
    """
    console = Console()
    with request_bar(console, "") as show:
        request = client.follow(request_id, show)
    _tell(console, request)
    if request.status != "completed":
        raise typer.Exit(1)
    return request


def _tell(console: Console, request: ForgetRequest) -> None:
    reason = f" ({request.reason})" if request.reason else ""
    console.print(f"request {request.id} is {request.status}{reason}", highlight=False)
    run = request.run or {}
    if run.get("version"):
        console.print(
            f"{run.get('method')} {run.get('method_version')} made version {run['version']} of "
            f"version {run.get('base_version')}; guarantee: {run.get('guarantee')}",
            highlight=False,
        )
    if request.interim and request.status != "completed":
        console.print(
            f"interim version {request.interim['version']} is served; guarantee: "
            f"{request.interim['guarantee']}; it does not close the request",
            highlight=False,
        )
    if request.acceptance:
        console.print(
            f"accepted by {request.acceptance['by']} ({request.acceptance['reason']}), not by the audit",
            highlight=False,
        )
    if request.review:
        _tell_review(console, request.id, request.review)
    if request.audit:
        table = Table("check", "value", "threshold", "passed", title=f"audit: {request.audit.get('verdict')}")
        for check in request.audit.get("checks", []):
            table.add_row(
                str(check["name"]),
                f"{check['value']:.4g}",
                "-" if check.get("threshold") is None else f"{check['threshold']:.4g}",
                "yes" if check["passed"] else "no",
            )
        console.print(table)


def _tell_review(console: Console, request_id: str, review: dict[str, Any]) -> None:
    cost = review.get("exact_seconds")
    told = "not measured" if cost is None else f"about {cost:.0f} s"
    console.print(f"a person decides; exact retraining costs {told}", highlight=False)
    for choice in review.get("choices", []):
        name = choice["decision"]
        command = f"lethe decide {request_id} {name} --reason CODE" if choice["is_possible"] else name
        console.print(f"  {command}\n    {choice['text']}", highlight=False)


def _target(
    classes: list[int], samples: list[str], file: typer.FileBinaryRead | None, subject: str | None
) -> Target:
    if sum((bool(classes), bool(samples), file is not None, bool(subject))) != 1:
        raise typer.BadParameter(
            "Name what to forget by exactly one of --class, --sample, --from and --subject."
        )
    if classes:
        return class_target(classes)
    if file is not None:
        return samples_target(
            sample_ids.read(file, "standard input" if file is sys.stdin.buffer else file.name)
        )
    return samples_target(samples) if samples else subject_target(subject or "")
