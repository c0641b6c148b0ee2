"""A client that pulls as fast as a socket can: no parsing beyond the head, no copy kept.

    python -m benchmarks.latest.pulling URL AUTHORIZATION

Connects, says `ready`, pulls once when it is sent a line, and prints how many bytes came.
"""

import socket
import sys
import time
from urllib.parse import urlsplit

BUFFER_BYTES = 1 << 20
HEAD_END = b"\r\n\r\n"


class Puller:
    """One kept connection to one file.

    Args:
        url: The file.
        authorization: Value of the header, or empty.
    """

    def __init__(self, url: str, authorization: str = "") -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=60)
        credentials = f"Authorization: {authorization}\r\n" if authorization else ""
        self._ask = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{credentials}\r\n".encode()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def pull(self) -> tuple[int, float]:
        """Return bytes received and seconds taken, from the question to the last byte."""
        began = time.perf_counter()
        self._socket.sendall(self._ask)
        seen = b""
        while HEAD_END not in seen:
            seen += self._receive()
        head, _, start = seen.partition(HEAD_END)
        status = head.split(b" ", 2)[1]
        if status != b"200":
            raise ConnectionError(f"200 was expected, {status.decode()} came.")
        (length,) = (
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line
        )
        left = length - len(start)
        while left > 0:
            count = self._socket.recv_into(self._buffer, min(left, BUFFER_BYTES))
            if not count:
                raise ConnectionError(f"The connection ended {left} bytes too early.")
            left -= count
        return length, time.perf_counter() - began

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _receive(self) -> bytes:
        got = self._socket.recv(65536)
        if not got:
            raise ConnectionError("The connection ended before the head of the answer.")
        return got


def main() -> None:
    """Connect, wait for the word, pull, and print."""
    url, authorization = sys.argv[1:]
    puller = Puller(url, authorization)
    print("ready", flush=True)
    sys.stdin.readline()
    print(puller.pull()[0], flush=True)


if __name__ == "__main__":
    main()
