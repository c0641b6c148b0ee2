"""The style sheets that reports carry inside them; the dashboard serves the same files."""

import functools
from pathlib import Path

FOLDER = Path(__file__).parent / "static"


def of_drawings() -> str:
    """Return what a drawing needs as a file of its own."""
    return _sheets("palette.css", "drawings.css")


def of_page() -> str:
    """Return what a report's page needs."""
    return _sheets("palette.css", "drawings.css", "report.css")


@functools.cache
def _sheets(*names: str) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
