"""Sends a file, or the range of it that was asked for (RFC 9110, section 14).

A download holds no thread while its caller reads: what lies in the page cache is read in the event loop
(`preadv2` with `RWF_NOWAIT`, which never waits for a disk), and only what does not is read in a thread, a
chunk at a time. The next chunk is read when the server has taken the last one, and it waits until the kernel
has: so a caller that reads nothing holds two chunks and no more, and one that hangs up ends the reading.
A server that offers `http.response.pathsend` sends whole files by itself.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.errors import problem

CHUNK_BYTES = 1 << 18
"""Read at once. 64 KiB sent 8 % less a second, 512 KiB and more no more; a caller that stalls holds two."""

MEDIA_TYPE = "application/octet-stream"
PATHSEND = "http.response.pathsend"
NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)
"""None where the system cannot read without waiting; then every chunk is read in a thread."""

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


class FileResponse(StreamingResponse):
    """The answer that carries a span of a file.

    Args:
        file: The file.
        span: Positions of the bytes that are sent.
        status: HTTP status.
        headers: Headers of the answer.
        is_whole: Whether the span is all of the file.
    """

    def __init__(
        self, file: Path, span: range, status: int, headers: Mapping[str, str], *, is_whole: bool
    ) -> None:
        super().__init__((), status, {**headers, "Content-Length": str(len(span))}, MEDIA_TYPE)
        self._file = file
        self._span = span
        self._is_whole = is_whole
        self._handle = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; a caller that hangs up ends it."""
        if self._is_whole and PATHSEND in scope.get("extensions", {}):
            await send(self._start())
            await send({"type": PATHSEND, "path": str(self._file)})
            return
        try:
            self._handle = await to_thread.run_sync(os.open, self._file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            await problem(404, "not_found", "This file has just been purged.")(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._handle)

    async def stream_response(self, send: Send) -> None:
        """Send the head and then the bytes, as fast as they are taken."""
        await send(self._start())
        position = self._span.start
        while position < self._span.stop:
            chunk = await _read(self._handle, position, self._span.stop - position)
            position += len(chunk)
            await send(_body(chunk, more=position < self._span.stop))
        if not self._span:
            await send(_body(memoryview(b""), more=False))

    def _start(self) -> dict[str, object]:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


async def _read(handle: int, position: int, limit: int) -> memoryview:
    """Return the next bytes of a file, at least one, without making the event loop wait for a disk."""
    if NO_WAIT is not None:
        with suppress(OSError):  # not in the page cache, or a file system that cannot tell
            if chunk := _read_into(handle, position, min(limit, CHUNK_BYTES), NO_WAIT):
                return chunk
    chunk = await to_thread.run_sync(_read_into, handle, position, min(limit, CHUNK_BYTES), 0)
    if not chunk:
        raise EOFError(f"A stored file ends at byte {position}, before its announced length.")
    return chunk


def _read_into(handle: int, position: int, count: int, flags: int) -> memoryview:
    buffer = memoryview(bytearray(count))
    return buffer[: os.preadv(handle, [buffer], position, flags)]


def _body(chunk: memoryview, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


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
    if request.method == "HEAD":
        return Response(b"", status, {**headers, "Content-Length": str(len(span))}, MEDIA_TYPE)
    return FileResponse(file, span, status, headers, is_whole=status == 200)
