"""What asks: wrk for rates, and a process of raw sockets that wait, so that no client is what is measured."""

import asyncio
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

CONNECTIONS = 16
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


def require(*programs: str) -> None:
    """End with a hint where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"{program} is needed: apt-get install --no-install-recommends wrk nginx-light")


def rate(url: str, headers: Sequence[str], seconds: int) -> float:
    """Return the requests a second that wrk has answered over a few kept connections (one thread).

    Raises:
        RuntimeError: Something was answered that is neither 2xx nor 3xx.
    """
    options = [part for header in headers for part in ("-H", header)]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *options, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if refused := _ERRORS.search(told):
        raise RuntimeError(f"{refused[1]} answers were neither 2xx nor 3xx.")
    found = _RATE.search(told)
    assert found is not None, told
    return float(found[1])


async def _wait(url: str, head: str, count: int) -> None:
    """Hold so many long polls; tell on standard output when all are sent, and then when each was answered."""
    parts = urlsplit(url)
    ask = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{head}\r\n".encode()
    gate = asyncio.Semaphore(64)  # the listening socket's backlog is bounded

    async def open_one() -> asyncio.StreamReader:
        async with gate:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=4096)
            writer.write(ask)
            await writer.drain()
            writers.append(writer)  # kept, or the connection would close
            return reader

    async def hear(reader: asyncio.StreamReader) -> tuple[int, float]:
        line = await reader.readline()
        return int(line.split()[1]), time.time()

    writers: list[asyncio.StreamWriter] = []
    readers = await asyncio.gather(*(open_one() for _ in range(count)))
    print("waiting", flush=True)
    print(json.dumps(await asyncio.gather(*(hear(reader) for reader in readers))), flush=True)


def main() -> None:
    """Wait as many times as told: URL, head lines as JSON, count."""
    url, head, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
    asyncio.run(_wait(url, head, count))


if __name__ == "__main__":
    main()
