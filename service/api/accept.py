"""Which form of an answer a caller prefers, by its `Accept` header."""

from collections.abc import Sequence

HTML = "text/html"


def prefers_html(accept: str) -> bool:
    """Whether HTML is asked for by name, and ranks above anything else that is named.

    `*/*` and an absent header ask for the evidence itself.
    """
    ranks = [_rank(part) for part in accept.lower().split(",")]
    html = max((quality for name, quality in ranks if name == HTML), default=0.0)
    return html > 0 and all(quality <= html for _, quality in ranks)


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Return the form that is asked for by name and ranks highest; the first one where none is named.

    Args:
        accept: The header.
        offered: Media types, the usual one first.
    """
    ranks = dict(_rank(part) for part in accept.lower().split(","))
    return max(offered, key=lambda name: ranks.get(name, 0.0))


def _rank(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter.removeprefix("q="))
            except ValueError:
                return name, 0.0
    return name, 1.0
