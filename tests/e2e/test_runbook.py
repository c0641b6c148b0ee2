"""The runbook's commands, taken from its page and run in its order, each in the situation that it speaks of.

Before each block of the page stands `<!-- run: SITUATION -->`, the name of a function below, or
`<!-- not run: REASON -->`. A situation is a generator: it brings Lethe there and yields what the block's
variables stand for; it is sent what the block said, looks whether that helped, and leaves Lethe at work.
"""

import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from lethe.client import LetheApiError, LetheClient
from lethe.client.evidence import collect
from lethe.client.pull import pull
from lethe.client.records import class_target, samples_target
from lethe.embedded.process import free_port
from lethe.home import Home
from lethe.verify import verify_bundle
from tests.e2e.mendable_methods.while_bad import BAD
from tests.fixtures.operated import Operated, operated, stop
from tests.fixtures.processes import CODE_ROOT, is_alive
from workers.numerics import architectures
from workers.numerics.datasets.registry import open_source
from workers.numerics.params import write_file
from workers.preparation.recipe import TrainingRecipe
from workers.preparation.training import train

RUNBOOK = CODE_ROOT / "docs" / "runbook.md"
WITH_EACH = "with each"
BLOCK = re.compile(
    r"(?:<!-- (?P<kind>run|not run): (?P<what>[^>]+) -->\n)?```(?P<language>\w*)\n(?P<commands>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
REASONS = {"it needs Docker"}
SETTINGS = {
    "LETHE_LEASE_SECONDS": "3",
    "LETHE_MAX_ATTEMPTS": "2",
    "LETHE_EXTRA_METHODS": "tests.e2e.mendable_methods,tests.e2e.lying_methods",
    "OMP_NUM_THREADS": "1",
}
FACTORY = "workers.numerics.architectures:small_cnn"
ARGUMENTS = {"in_channels": 1, "num_classes": 10, "width": 4}
RECIPE = TrainingRecipe(steps=300, batch_size=32, learning_rate=0.1)
"""Short, for a dozen runs, and long enough to be caught in the middle."""
LIMITS = {"retrained_mean_drop": 1.0}
"""A network this small may lose anything."""
FORGOTTEN_FIRST = 0
"""The class that is forgotten before any backup is made."""


@dataclass(frozen=True)
class Block:
    """Commands of the page.

    Attributes:
        line: Where they begin.
        kind: `run`, `not run`, or None where the page does not say.
        what: The situation, or the reason.
        commands: As they stand.
    """

    line: int
    kind: str | None
    what: str
    commands: str


def blocks() -> list[Block]:
    """Return every block of the page, in its order."""
    page = RUNBOOK.read_text(encoding="utf-8")
    return [
        Block(page.count("\n", 0, found.start()) + 1, found["kind"], found["what"] or "", found["commands"])
        for found in BLOCK.finditer(page)
    ]


Situation = Generator[dict[str, str], str, None]


@dataclass
class Scene:
    """What the situations share.

    Attributes:
        lethe: The Lethe that is operated.
        samples: Ids of samples that nobody has named yet.
        officer: Key of a person who decides.
        first: The request that was completed first.
        vkey: The ledger's public key.
    """

    lethe: Operated
    samples: list[str]
    officer: str = ""
    first: str = ""
    vkey: str = ""
    num_parked: int = 0

    def prepare(self) -> None:
        """Start Lethe, register what the situations need, and have one request completed."""
        self.lethe.up()
        client = self.lethe.client
        retrain = {"class_ladder": ["retrain"], "samples_ladder": ["retrain"]}
        policies = {
            "digits": retrain,
            "guarded": {**retrain, "approval_required": True},
            "doubted": {"class_ladder": ["lying_mask"], "exact_at_last": False},
            "fragile": {"class_ladder": ["mendable"]},
        }
        build: Callable[[], Any] = lambda: architectures.build(FACTORY, ARGUMENTS)  # noqa: E731
        weights = self.lethe.folder / "weights.safetensors"
        write_file(weights, train(build, open_source({"source": "digits"}), RECIPE).params)
        common = {"exact_budget_seconds": 0, "study_seconds": 0, "audit_limits": LIMITS}
        for name, policy in policies.items():
            client.register_model(
                {
                    "name": name,
                    "architecture": {"factory": FACTORY, "arguments": ARGUMENTS},
                    "dataset": {"source": "digits"},
                    "training": RECIPE.to_json(),
                    "policy": {**common, **policy},
                }
            )
            client.upload_weights(name, weights)
        for name in policies:
            self.lethe.until(lambda name=name: client.model(name).state == "ready", f"{name} was not ready")
        done = self.lethe.settled(client.forget("digits", class_target([FORGOTTEN_FIRST])))
        assert done.status == "completed"
        self.first, self.vkey = done.id, client.log_vkey()
        self.officer = client.create_api_key("O", ["requests:read", "requests:write"]).key or ""

    def a_sample(self) -> list[str]:
        """Return the id of a sample that nobody has named yet."""
        return [self.samples.pop()]

    def require_evidence(self, client: LetheClient, folder: Path) -> None:
        """See that the certificate of the first request still stands, under the key of the beginning."""
        collect(client, self.first, folder)
        findings = verify_bundle(folder)
        assert findings and all(finding.ok for finding in findings), findings
        assert client.log_vkey() == self.vkey


def at_rest(scene: Scene) -> Situation:
    """Nothing is wrong, and nothing is left to do."""
    scene.lethe.up()
    scene.lethe.until(lambda: not scene.lethe.rows(OPEN_JOBS), "jobs were left")
    said = yield {}
    assert '"checks"' not in said or '"status":"ok"' in said


def at_work(scene: Scene) -> Situation:
    """A request is being worked on."""
    request = scene.lethe.forgets("digits", samples_target(scene.a_sample()))
    engine = scene.lethe.engine()
    os.kill(engine, signal.SIGSTOP)  # it would be done before anyone had looked
    said = yield {"MODEL": "digits"}
    os.kill(engine, signal.SIGCONT)
    assert re.search(r"digits.*unlearn.*running", said)
    assert scene.lethe.settled(request).status == "completed"


def a_ticket(scene: Scene) -> Situation:
    """A request was completed whose POST had an X-Request-ID."""
    running = scene.lethe.running
    answer = httpx.post(
        f"{running.url}/v1/forget-requests",
        headers={"Authorization": f"Bearer {scene.lethe.home.admin_key()}", "X-Request-ID": "ticket-4711"},
        json={"model": "digits", "target": samples_target(scene.a_sample())},
        trust_env=False,
    )
    scene.lethe.settled(scene.lethe.client.request(answer.json()["id"]))
    [(run,)] = scene.lethe.rows("SELECT id FROM runs ORDER BY id DESC LIMIT 1")
    said = yield {"RUN": str(run)}
    events = ("request_answered", "run.serves", "run.started", "run.audited", "run.published", "job.done")
    assert [event for event in events if event not in said] == []


def overdue(scene: Scene) -> Situation:
    """A request waits for approval, and its month is over."""
    asked_at = "2026-01-02T03:04:05Z"
    answer = httpx.post(
        f"{scene.lethe.running.url}/v1/forget-requests",
        headers={"Authorization": f"Bearer {scene.lethe.home.admin_key()}"},
        json={"model": "guarded", "target": samples_target(scene.a_sample()), "submitted_at": asked_at},
        trust_env=False,
    )
    request = scene.lethe.client.request(answer.json()["id"])
    said = yield {"REQUEST": request.id}
    seen = scene.lethe.client.request(request.id)
    assert request.id in said
    if seen.status != "held":
        assert seen.due_at > request.due_at


def audit_refused(scene: Scene) -> Situation:
    """The only method that the policy allows lies, and the audit says so."""
    refused = scene.lethe.settled(scene.lethe.client.forget("doubted", class_target([2])))
    assert refused.status == "needs_review"
    yield {"REQUEST": refused.id, "OFFICER_KEY": scene.officer}
    scene.lethe.until(lambda: scene.lethe.client.request(refused.id).status == "completed", "it stayed")


def failed(scene: Scene) -> Situation:
    """Every attempt at a request failed, and the cause is mended."""
    request = parked(scene)
    said = yield {"REQUEST": request, "OFFICER_KEY": scene.officer}
    assert request in said
    scene.lethe.until(lambda: scene.lethe.client.request(request).status == "completed", "it stayed")


def parked_job(scene: Scene) -> Situation:
    """A job that killed its engine each time was given up, and the cause is mended."""
    request = parked(scene)
    job = next(scene.lethe.client.jobs(state="parked")).id
    said = yield {"JOB": job}
    assert f"{job}  fragile  unlearn  parked, 2 attempts" in said and "SIGKILL" in said
    assert "1 of its requests wait again" in said
    scene.lethe.until(lambda: scene.lethe.client.request(request).status == "completed", "it stayed")


def parked(scene: Scene) -> str:
    """Have a request fail with its job, mend the cause, and return its id."""
    bad = scene.lethe.home.root / BAD
    bad.touch()
    scene.num_parked += 1
    request = scene.lethe.client.forget("fragile", class_target([scene.num_parked]))
    assert scene.lethe.settled(request).status == "failed"
    bad.unlink()
    return request.id


def purge_waits(scene: Scene) -> Situation:
    """A version was withdrawn and nothing has purged it, as its row says: no purge is late by itself."""
    version = "(SELECT id FROM versions WHERE withdrawn_at IS NULL ORDER BY id LIMIT 1)"
    [(found,)] = scene.lethe.rows(
        f"UPDATE versions SET withdrawn_at = now() - interval '2 days' WHERE id = {version} RETURNING id"
    )
    said = yield {}
    scene.lethe.rows(f"UPDATE versions SET withdrawn_at = NULL WHERE id = '{found}'")
    assert "(1 row)" in said


def lease_lost(scene: Scene) -> Situation:
    """A worker was killed in the middle of a job."""
    request = scene.lethe.forgets("digits", samples_target(scene.a_sample()))
    os.kill(scene.lethe.running.processes["worker"], signal.SIGKILL)
    assert scene.lethe.settled(request).status == "completed"
    said = yield {}
    assert 'lethe_leases_lost_total{state="ready"}' in said
    assert "relay.reaped" in said and "lease ran out" in said


def no_relay(scene: Scene) -> Situation:
    """One more relay is wanted."""
    yield {}
    count = "SELECT 1 FROM workers WHERE role = 'relay' AND seen_at > now() - interval '10 s'"
    scene.lethe.until(lambda: len(scene.lethe.rows(count)) == 2, "there was one relay")
    scene.lethe.leave()


def database_restarted(scene: Scene) -> Situation:
    """The database stops in the middle of a job."""
    request = scene.lethe.forgets("digits", samples_target(scene.a_sample()))
    os.kill(scene.lethe.running.processes["postgres"], signal.SIGINT)
    said = yield {}
    assert '"checks"' in said
    assert scene.lethe.settled(request).status == "completed"


def a_query_hangs(scene: Scene) -> Situation:
    """Somebody's query does not come back."""
    url = scene.lethe.running.variables["LETHE_DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(url) as connection:

        def hang() -> None:
            with suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_sleep(600)")

        hanging = threading.Thread(target=hang, daemon=True)
        hanging.start()
        said = yield {"PID": str(connection.info.backend_pid)}
        hanging.join(10.0)
        assert "pg_sleep" in said and not hanging.is_alive()


def one_more_worker(scene: Scene) -> Situation:
    """Another worker is wanted; it stays."""
    yield {}
    scene.lethe.until(lambda: newcomers(scene), "nobody came")


def drain(scene: Scene) -> Situation:
    """One of two workers is to leave."""
    [pid] = newcomers(scene)
    yield {"PID": str(pid)}
    assert newcomers(scene) == []


def newcomers(scene: Scene) -> list[int]:
    """Return the workers that live and that `lethe up` did not start."""
    ours = scene.lethe.running.processes["worker"]
    rows = scene.lethe.rows("SELECT pid FROM workers WHERE role = 'worker'")
    return [pid for (pid,) in rows if pid != ours and is_alive(pid)]


def a_key_to_revoke(scene: Scene) -> Situation:
    """A key is known to others."""
    made = scene.lethe.client.create_api_key("platform", ["requests:read"])
    with LetheClient(scene.lethe.running.url, made.key or "") as known:
        assert [*islice(known.requests(), 1)]
        said = yield {"ID": made.id}
        with pytest.raises(LetheApiError, match="key") as refused:
            [*islice(known.requests(), 1)]
    assert refused.value.status == 401
    with LetheClient(scene.lethe.running.url, re.findall(r"^lethe_\S+", said, re.MULTILINE)[0]) as new:
        assert [*islice(new.requests(), 1)]


def admin_key_lost(scene: Scene) -> Situation:
    """Lethe is stopped, and its admin key shall not be used any more."""
    lost = scene.lethe.home.admin_key()
    scene.lethe.down()
    yield {}
    scene.lethe.up()
    with LetheClient(scene.lethe.running.url, lost) as client, pytest.raises(LetheApiError):
        [*islice(client.requests(), 1)]
    assert [*islice(scene.lethe.client.requests(), 1)]


def stopped(scene: Scene) -> Situation:
    """Lethe is stopped in good order."""
    scene.lethe.down()
    yield {}
    scene.lethe.up()


def backed_up(scene: Scene) -> Situation:
    """A backup is all there is left of database, store and keys."""
    yield {"PORT": str(free_port())}
    home = Home(scene.lethe.folder / "restored")
    running = scene.lethe.until(home.read_running, "the restored one did not come up")
    with LetheClient(running.url, scene.lethe.home.admin_key()) as client:
        scene.require_evidence(client, scene.lethe.folder / "restored-evidence")
        before = pull(client, "digits", scene.lethe.folder / "restored-serving")
        request = client.forget("digits", samples_target(scene.a_sample()))
        scene.lethe.until(lambda: client.request(request.id).status == "completed", "the restored one rests")
        after = pull(client, "digits", scene.lethe.folder / "restored-serving")
    assert before and after and after.version.version == before.version.version + 1
    stop(home)


def home_lost(scene: Scene) -> Situation:
    """A copy of the home is all there is left."""
    served = scene.lethe.client.model("digits").served_version
    scene.lethe.down()
    scene.lethe.home.root.rename(scene.lethe.folder / "lost")
    yield {"PORT": str(scene.lethe.port)}
    scene.lethe.up()
    assert scene.lethe.client.model("digits").served_version == served
    scene.require_evidence(scene.lethe.client, scene.lethe.folder / "copied-evidence")


def disk_full(scene: Scene) -> Situation:
    """A candidate cannot be written."""
    request = scene.lethe.forgets("digits", samples_target(scene.a_sample()))
    engine = scene.lethe.engine()
    resource.prlimit(engine, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    scene.lethe.until(lambda: "storage_unavailable" in scene.lethe.log("worker"), "there was room")
    yield {}
    with suppress(ProcessLookupError):
        resource.prlimit(engine, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert scene.lethe.settled(request).status == "completed"


def broker_out(scene: Scene) -> Situation:
    """The broker is killed, and what it held is gone, while a request comes."""
    os.kill(scene.lethe.running.processes["worker"], signal.SIGSTOP)
    paused = scene.lethe.running.processes["worker"]
    request = scene.lethe.client.forget("digits", samples_target(scene.a_sample()))
    for _ in range(3):
        os.kill(scene.lethe.running.processes["valkey"], signal.SIGKILL)
        gone = scene.lethe.running.processes["valkey"]
        scene.lethe.until(
            lambda gone=gone: scene.lethe.running.processes.get("valkey", gone) != gone, "it stayed"
        )
        if "bell.broker_out" in scene.lethe.log("relay"):
            break
    said = yield {}
    os.kill(paused, signal.SIGCONT)
    assert "bell.broker_out" in said
    assert scene.lethe.settled(request).status == "completed"


def keys_lost(scene: Scene) -> Situation:
    """Lethe is stopped, and a key file is missing."""
    scene.lethe.down()
    for name in ("ledger.key", "pseudonym.key"):
        (scene.lethe.home.keys / name).unlink()
    yield {}
    scene.lethe.up()
    scene.require_evidence(scene.lethe.client, scene.lethe.folder / "rekeyed-evidence")
    request = scene.lethe.client.forget("digits", samples_target(sample_ids()[-1:]))
    assert scene.lethe.settled(request).status == "completed", "the pseudonym of a known sample is another"


OPEN_JOBS = "SELECT 1 FROM jobs WHERE state IN ('ready', 'running')"
WHILE_STOPPED = (admin_key_lost, stopped, home_lost, keys_lost)
"""Where there is no `lethe env` to ask."""
SITUATIONS: dict[str, Callable[[Scene], Situation]] = {
    one.__name__.replace("_", " "): one
    for one in (
        *(at_rest, at_work, a_ticket, overdue, audit_refused, failed, parked_job, purge_waits, lease_lost),
        *(no_relay, database_restarted, a_query_hangs, one_more_worker, drain, a_key_to_revoke),
        *(backed_up, disk_full, broker_out, *WHILE_STOPPED),
    )
}


def test_every_block_of_the_runbook_is_run_or_says_why_not() -> None:
    found = blocks()

    assert [block.line for block in found if block.kind is None] == []
    assert {block.what for block in found if block.kind == "not run"} <= REASONS
    assert {block.what for block in found if block.kind == "run"} == {WITH_EACH, *SITUATIONS}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A Lethe with models and a first completed request."""
    for lethe in operated(tmp_path, SETTINGS):
        scene = Scene(lethe, sample_ids())
        scene.prepare()
        yield scene


@pytest.mark.timeout(900)
def test_every_command_of_the_runbook_does_what_it_says(scene: Scene) -> None:
    [scene.lethe.preamble] = [block.commands for block in blocks() if block.what == WITH_EACH]

    for block in blocks():
        if block.kind == "run" and block.what != WITH_EACH:
            play(scene, block)


def sample_ids() -> list[str]:
    """Return the ids of all training samples."""
    manifest = open_source({"source": "digits"}).manifest
    return [str(each) for each in manifest.sample_ids[manifest.positions("train")]]


def play(scene: Scene, block: Block) -> None:
    """Bring Lethe into a block's situation, run the block, and see whether it helped."""
    situation = SITUATIONS[block.what]
    at = f"runbook.md:{block.line}, {block.what}"
    scenario = situation(scene)
    try:
        variables = next(scenario)
        said = scene.lethe.run(block.commands, variables, is_up=situation not in WHILE_STOPPED)
        with suppress(StopIteration):
            scenario.send(said)
    except Exception as error:
        error.add_note(at)
        raise
