"""Sends a file, or the range of it that was asked for (RFC 9110, section 14)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.api.errors import problem

CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def send(request: Request, file: Path, size: int, headers: Mapping[str, str]) -> Response:
    """Return a file's bytes.

    One range is honoured, if `If-Range` allows; several at once, or what is no range, get the whole file, as
    the standard permits.

    Args:
        request: Its `Range` and `If-Range` are obeyed.
        file: What is sent.
        size: Its length in bytes.
        headers: Sent along; `ETag` is what `If-Range` is compared with.
    """
    headers = {**headers, "Accept-Ranges": "bytes"}
    is_allowed = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    span = _span(request.headers.get("range", ""), size) if is_allowed else None
    if span is None:
        return _response(request, file, range(size), 200, headers)
    if not span:
        detail = f"The range lies past the end of the file, which has {size} bytes."
        return problem(416, "range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return _response(request, file, span, 206, headers)


def _span(header: str, size: int) -> range | None:
    """Return the bytes asked for: an empty range cannot be satisfied, None means the whole file."""
    match = _RANGE.fullmatch(header)
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _response(request: Request, file: Path, span: range, status: int, headers: Mapping[str, str]) -> Response:
    body = iter(()) if request.method == "HEAD" else _bytes_of(file, span)
    return StreamingResponse(
        body, status, {**headers, "Content-Length": str(len(span))}, media_type="application/octet-stream"
    )


def _bytes_of(file: Path, span: range) -> Iterator[bytes]:
    num_left = len(span)
    with file.open("rb") as stream:
        stream.seek(span.start)
        while num_left and (piece := stream.read(min(CHUNK_BYTES, num_left))):
            num_left -= len(piece)
            yield piece
