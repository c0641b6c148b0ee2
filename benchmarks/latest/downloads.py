"""Downloads: a file from the API and the same file from nginx, by the same client, in turn."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.latest.pulling import Puller
from benchmarks.latest.setting import MODEL, Setting, answers, resident_bytes
from lethe.embedded.process import Program, free_port, running

FILE = f"/v1/models/{MODEL}/versions/{{version}}/files/model.safetensors"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; tcp_nopush on;
    {temporary}
    server {{ listen 127.0.0.1:{port}; location / {{ root {root}; }} }}
}}
"""


@dataclass(frozen=True)
class Pulls:
    """Bytes a second of each pull, and the API's own memory.

    Attributes:
        ours: From the API.
        nginx: From nginx.
        memory: Bytes of the API process, before the first pull and after each round.
    """

    ours: list[float]
    nginx: list[float]
    memory: list[int]


def pull_in_turn(setting: Setting, file: Path, version: int, rounds: int) -> Pulls:
    """Pull over one kept connection each, one after the other."""
    with _nginx(setting.folder, file) as peer:
        ours = Puller(setting.url + FILE.format(version=version), setting.authorization)
        nginx = Puller(peer)
        for puller in (ours, nginx):
            puller.pull()  # warm: the file lies in the page cache from here on
        found = Pulls([], [], [resident_bytes(setting.api.pid)])
        for _ in range(rounds):
            for puller, speeds in ((ours, found.ours), (nginx, found.nginx)):
                num_bytes, seconds = puller.pull()
                speeds.append(num_bytes / seconds)
            found.memory.append(resident_bytes(setting.api.pid))
        return found


def pull_at_once(setting: Setting, file: Path, version: int, rounds: int, num_callers: int) -> Pulls:
    """Pull by several callers at once, each a process of its own; bytes a second of all together."""
    with _nginx(setting.folder, file) as peer:
        found = Pulls([], [], [resident_bytes(setting.api.pid)])
        for _ in range(rounds):
            url = setting.url + FILE.format(version=version)
            found.ours.append(_crowd(url, setting.authorization, num_callers))
            found.nginx.append(_crowd(peer, "", num_callers))
            found.memory.append(resident_bytes(setting.api.pid))
        return found


def _crowd(url: str, authorization: str, num_callers: int) -> float:
    """Return bytes a second from the word that sends them off to the last one's end."""
    command = [sys.executable, "-m", "benchmarks.latest.pulling", url, authorization]
    with ExitStack() as stack:
        callers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(num_callers)
        ]
        for caller in callers:
            assert caller.stdout is not None and caller.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for caller in callers:
            assert caller.stdin is not None
            caller.stdin.write("go\n")
            caller.stdin.flush()
        num_bytes = sum(int(caller.stdout.readline()) for caller in callers if caller.stdout is not None)
        return num_bytes / (time.perf_counter() - began)


@contextmanager
def _nginx(folder: Path, file: Path) -> Iterator[str]:
    """Run nginx with one worker process, as it is packaged: sendfile on; yield the file's URL."""
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {folder}/nginx-{name};" for name in TEMPORARY)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, temporary=temporary, port=port, root=file.parent))
    url = f"http://127.0.0.1:{port}/{file.name}"
    program = Program(
        name="nginx",
        command=("nginx", "-c", str(config), "-e", f"{folder}/nginx.log"),
        log=folder / "nginx.out",
        is_ready=lambda pid: answers(f"http://127.0.0.1:{port}/nothing"),
    )
    with running(program):
        yield url
