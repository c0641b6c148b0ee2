"""Response headers of the dashboard: nothing from elsewhere, nothing inline, no page kept in a cache."""

from starlette.responses import Response

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SHEET_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""For a certificate: one printable file with its style inside, and no script."""

DEFAULTS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def secure(response: Response) -> Response:
    """Add the headers that a response does not set itself."""
    for name, value in DEFAULTS.items():
        response.headers.setdefault(name, value)
    return response
