"""Progress bars on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lethe.client.records import ForgetRequest

COLUMNS = (TextColumn("{task.description:<60}"), BarColumn(), TimeElapsedColumn())


@contextmanager
def bar(console: Console, title: str) -> Iterator[Callable[[float], None]]:
    """Show a bar and yield what moves it: a function of the fraction done."""
    with Progress(*COLUMNS, console=console) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda fraction: bars.update(task, completed=fraction)


@contextmanager
def request_bar(console: Console, title: str) -> Iterator[Callable[[ForgetRequest], None]]:
    """Show a forget request's bar and yield what is told of each change."""
    with Progress(*COLUMNS, console=console) as bars:
        task = bars.add_task(title, total=1.0)

        def show(request: ForgetRequest) -> None:
            running = request.progress if not request.is_resting else None
            stage = f": {running.stage}" if running is not None else ""
            done = running.fraction if running is not None else float(request.is_resting)
            bars.update(task, description=f"{title}{request.status}{stage}", completed=done)

        yield show
