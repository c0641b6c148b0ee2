"""`lethe status`: what is up, which models it knows, which requests are open."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from lethe.cli.connection import HomeOption, connect
from lethe.home import DEFAULT_HOME


def status(home: HomeOption = DEFAULT_HOME) -> None:
    """Show the models and the open requests."""
    console = Console()
    with connect(home) as client:
        models = Table("model", "state", "served", "revoked below", title=f"models at {client.url}")
        for model in client.models():
            models.add_row(
                model.name, model.state, str(model.served_version or "-"), str(model.revocation_floor or "-")
            )
        requests = Table("request", "model", "status", "age", "days left", title="open requests")
        now = datetime.now(UTC)
        for request in client.requests():
            if not request.is_closed:
                age, left = now - request.received_at, request.due_at - now
                requests.add_row(request.id, request.model, request.status, f"{age.days} d", str(left.days))
    console.print(models, requests)
