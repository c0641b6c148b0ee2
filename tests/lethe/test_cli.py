"""The command line against a Lethe in memory."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lethe.cli import app, connection, main, models
from lethe.client import LetheClient, LetheError, api
from lethe.home import Home, Running
from tests.fixtures.fake_lethe import KEY, FakeLethe, forget_request
from tests.fixtures.processes import CODE_ROOT, environment

GOLDEN = CODE_ROOT / "tests" / "fixtures" / "golden" / "ledger" / "bundle_v1"
Run = Callable[..., Result]
COMPLETED = {
    "status": "completed",
    "completed_at": "2026-01-02T04:00:00.000Z",
    "run": {
        "method": "ssd",
        "method_version": "1",
        "base_version": 1,
        "version": 2,
        "guarantee": "approximate",
        "parameters": {},
    },
    "audit": {
        "verdict": "pass",
        "checks": [{"name": "utility", "value": 0.01, "interval": None, "threshold": 0.02, "passed": True}],
    },
}

REPORT = {
    "statement": "Version 2 of digits was changed to forget the data: audited, not proven erased.",
    "rungs": [
        {
            "number": 2,
            "methods": ["ssd"],
            "audit": {
                "verdict": "pass",
                "checks": [
                    {"name": "a", "value": 0.51, "interval": [0.47, 0.55], "threshold": 0.6, "passed": True},
                    {"name": "b", "value": 0.1, "interval": None, "threshold": None, "passed": False},
                    {"name": "c", "value": 0.1, "interval": None, "threshold": 1, "passed": False,
                     "is_decided": False},
                    {"name": "d", "value": 0.1, "interval": None, "threshold": 1, "passed": True,
                     "is_gate": False},
                ],
            },
        },
        {"number": 1, "methods": ["one_shot"], "audit": None},
    ],
}  # fmt: skip


def served_log() -> dict[str, bytes]:
    """What a Lethe serves of the golden log, with one of its certificates as that of request r1."""
    files = [file for file in GOLDEN.rglob("*") if file.is_file()]
    served = {f"log/{file.relative_to(GOLDEN)}": file.read_bytes() for file in files}
    return {
        **served,
        "log/vkey": served["log/log.vkey"],
        "forget-requests/r1/certificate": served["log/certificates/first.dsse.json"],
        "forget-requests/r1/proof": served["log/proofs/first.tlog-proof"],
    }


@pytest.fixture
def fake() -> FakeLethe:
    return FakeLethe()


@pytest.fixture
def run(fake: FakeLethe, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command and return its result; an exception that no command expects fails the test."""
    monkeypatch.setenv("LETHE_URL", "http://lethe.test")
    monkeypatch.setenv("LETHE_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(api, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(connection, "LetheClient", partial(LetheClient, transport=fake.transport))

    def invoke(*arguments: str, expect: int = 0, given: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=given)
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    return invoke


def test_register_reads_toml_and_uploads_the_weights_beside_it(
    run: Run, fake: FakeLethe, tmp_path: Path
) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    (tmp_path / "digits.toml").write_text(
        'name = "digits"\nweights = "weights.safetensors"\n'
        '[architecture]\nfactory = "workers.numerics.architectures:small_cnn"\narguments = {}\n'
        '[dataset]\nsource = "arrays"\npath = "data"\n'
    )

    result = run("register", str(tmp_path / "digits.toml"), "--policy", '{"approval_required": true}')

    assert result.output == "digits is preparing\n"
    assert fake.files[1] == b"weights"
    assert fake.bodies["POST /v1/models"] == {
        "name": "digits",
        "architecture": {"factory": "workers.numerics.architectures:small_cnn", "arguments": {}},
        "dataset": {"source": "arrays", "path": str(tmp_path / "data")},
        "policy": {"approval_required": True},
    }


def test_register_by_options_alone(run: Run, fake: FakeLethe) -> None:
    run(
        "register",
        "--name=digits",
        "--factory=torchvision.models:resnet18",
        '--arguments={"num_classes": 10}',
        '--dataset={"source": "digits"}',
    )

    assert fake.bodies["POST /v1/models"]["architecture"] == {
        "factory": "torchvision.models:resnet18",
        "arguments": {"num_classes": 10},
    }


def test_register_says_what_is_missing(run: Run, fake: FakeLethe) -> None:
    result = run("register", "--name=digits", expect=2)

    assert "still needs architecture, dataset" in result.output
    assert fake.seen == []


def test_register_refuses_a_file_that_is_neither_json_nor_toml(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{")

    result = run("register", str(tmp_path / "model.json"), expect=1)

    assert isinstance(result.exception, LetheError)


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (["--class", "3", "--class", "5"], {"kind": "class", "classes": [3, 5]}),
        (["--sample", "train/00017"], {"kind": "samples", "sample_ids": ["train/00017"]}),
        (["--subject", "someone"], {"kind": "subject", "subject_id": "someone"}),
    ],
)
def test_forget_names_its_target(
    run: Run, fake: FakeLethe, options: list[str], target: dict[str, object]
) -> None:
    result = run("forget", "digits", *options)

    assert result.output == "request r1 is queued, due by 2026-02-02\n"
    assert fake.bodies["POST /v1/forget-requests"]["target"] == target


@pytest.mark.parametrize("options", [[], ["--class", "3", "--subject", "someone"]])
def test_forget_wants_exactly_one_kind_of_target(run: Run, fake: FakeLethe, options: list[str]) -> None:
    result = run("forget", "digits", *options, expect=2)

    assert "exactly one of --class, --sample, --from and" in " ".join(result.output.replace("│", " ").split())
    assert fake.seen == []


def test_forget_reads_sample_ids_from_a_file(run: Run, fake: FakeLethe, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("train/1\ntrain/2\n")

    run("forget", "digits", "--from", str(tmp_path / "ids"))

    sent = fake.bodies["POST /v1/forget-requests"]
    assert sent["target"] == {"kind": "samples", "sample_ids": ["train/1", "train/2"]}


def test_forget_reads_sample_ids_from_a_pipe(run: Run, fake: FakeLethe) -> None:
    run("forget", "digits", "--from", "-", given="train/1\n")

    assert fake.bodies["POST /v1/forget-requests"]["target"]["sample_ids"] == ["train/1"]


def test_forget_sends_nothing_of_a_file_with_a_bad_line(run: Run, fake: FakeLethe) -> None:
    result = run("forget", "digits", "--from", "-", given="train/1\n two\n", expect=1)

    assert str(result.exception).startswith("Line 2 of standard input was expected to be")
    assert fake.seen == []


def test_env_tells_a_shell_what_a_further_worker_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LETHE_ADMIN_KEY", raising=False)
    home = Home(tmp_path)
    home.create()
    told = {"LETHE_DATABASE_URL": "postgresql+psycopg://u:p@h/lethe", "LETHE_DATA_DIR": "/with a space"}
    home.write_running(
        Running("http://127.0.0.1:1", 7, str(home.admin_key_path), str(tmp_path), "now", {}, told, "/pg/bin")
    )

    lines = CliRunner().invoke(app, ["env", "--home", str(tmp_path)]).output
    seen = subprocess.run(
        ["sh", "-c", f"{lines}env"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    key = home.admin_key()
    keys = {f"LETHE_{name}={key}" for name in ("KEY", "ADMIN_KEY")}
    assert {f"{name}={value}" for name, value in told.items()} | keys <= set(seen)
    assert f"PATH={Path(sys.executable).parent}:/pg/bin:/usr/bin:/bin" in seen


def test_watch_shows_the_audit_of_a_completed_request(run: Run, fake: FakeLethe) -> None:
    fake.requests["r1"] = forget_request("r1")
    half = {"status": "running", "progress": {"stage": "unlearn", "fraction": 0.5}}
    fake.stages = [{}, half, {**COMPLETED, "progress": None}]

    result = run("watch", "r1")

    assert "request r1 is completed" in result.output
    assert "ssd 1 made version 2 of version 1; guarantee: approximate" in result.output
    assert re.search(r"utility\W+0\.01\W+0\.02\W+yes", result.output)


def test_watch_of_a_request_that_was_not_completed_fails(run: Run, fake: FakeLethe) -> None:
    fake.requests["r1"] = forget_request("r1", status="needs_review", reason="audit_failed")

    result = run("watch", "r1", expect=1)

    assert "request r1 is needs_review (audit_failed)" in result.output


def test_status_shows_models_and_open_requests_alone(run: Run, fake: FakeLethe) -> None:
    fake.requests = {"r1": forget_request("r1"), "r2": forget_request("r2", **COMPLETED)}

    result = run("status")

    assert re.search(r"digits\W+ready\W+2\W+2", result.output)
    assert "r1" in result.output
    assert "r2" not in result.output


def test_pull_tells_what_current_is(run: Run, fake: FakeLethe, tmp_path: Path) -> None:
    fake.publish(1, b"one", floor=1)
    first = run("pull", "digits", "--out", str(tmp_path))
    again = run("pull", "digits", "--out", str(tmp_path))
    fake.publish(2, b"two", floor=2)
    second = run("pull", "digits", "--out", str(tmp_path))

    assert first.output == f"{tmp_path}/current is digits version 1\n"
    assert again.output == f"{tmp_path}/current is up to date\n"
    assert second.output == f"{tmp_path}/current is digits version 2; deleted v1\n"


def test_pull_that_watches_takes_each_new_version(
    run: Run, fake: FakeLethe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.publish(1, b"one", floor=1)
    pull_version, news = models.pull_version, iter([2, 3])

    def pull_then_publish(*arguments: object, **options: object) -> object:
        pulled = pull_version(*arguments, **options)
        number = next(news, None)
        if number is None:
            raise KeyboardInterrupt
        fake.publish(number, str(number).encode(), floor=number)
        return pulled

    monkeypatch.setattr(models, "pull_version", pull_then_publish)

    run("pull", "digits", "--out", str(tmp_path), "--watch", expect=130)

    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == b"3"
    assert fake.seen[-2].url.params["wait"] == "30"


def test_report_is_told_in_the_terminal(run: Run, fake: FakeLethe) -> None:
    fake.reports = {"application/json": json.dumps(REPORT).encode()}

    told = run("report", "r1").output

    assert "Version 2 of digits was changed to forget the data" in told
    assert "attempt 2, ssd: pass" in told and "attempt 1, one_shot: no candidate" in told
    for result in ("passed", "failed", "could not tell", "shown only"):
        assert result in told
    assert "0.47 to 0.55" in told


def test_report_is_written_with_the_drawings_that_there_are(
    run: Run, fake: FakeLethe, tmp_path: Path
) -> None:
    fake.reports = {"application/json": b"{}", "text/html": b"<p>", "scores": b"<svg/>"}

    written = run("report", "r1", "--out", str(tmp_path / "report"))

    assert {file.name: file.read_bytes() for file in (tmp_path / "report").iterdir()} == {
        "audit.json": b"{}",
        "audit.html": b"<p>",
        "scores.svg": b"<svg/>",
    }
    assert "1 drawing" in written.output


def test_report_that_is_not_there_is_one_message(
    fake: FakeLethe, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["report", "r1"])

    assert "There is no audit report" in capsys.readouterr().err


def test_evidence_is_a_folder_that_verify_accepts(run: Run, fake: FakeLethe, tmp_path: Path) -> None:
    fake.log = served_log()

    fetched = run("evidence", "r1", "--out", str(tmp_path))
    verified = run("verify", str(tmp_path))

    assert f"check it by `lethe verify {tmp_path}`" in fetched.output
    assert "FAIL" not in verified.output
    assert "certificates/r1.dsse.json" in verified.output
    assert "proofs/r1.tlog-proof" in verified.output


def test_verify_of_a_changed_certificate_fails(run: Run, fake: FakeLethe, tmp_path: Path) -> None:
    fake.log = served_log()
    run("evidence", "r1", "--out", str(tmp_path))
    certificate = tmp_path / "certificates" / "r1.dsse.json"
    certificate.write_bytes(certificate.read_bytes().replace(b'"sig":"', b'"sig":"A', 1))

    result = run("verify", str(tmp_path), expect=1)

    assert re.search(r"FAIL certificates/r1\.dsse\.json", result.output)


def test_key_is_made_listed_and_revoked(run: Run, fake: FakeLethe) -> None:
    created = run("key", "create", "desk", "--scope", "requests:write")
    listed = run("key", "list")
    revoked = run("key", "revoke", "k1")

    assert created.stdout == "lethe_secret\n"
    assert fake.bodies["POST /v1/api-keys"] == {"name": "desk", "scopes": ["requests:write"]}
    assert "lethe_secret" not in listed.output
    assert re.search(r"k1\W+desk\W+requests:write", listed.output)
    assert revoked.output == "k1 is revoked\n"


def test_parked_job_is_listed_with_what_its_attempts_left_and_put_back(run: Run, fake: FakeLethe) -> None:
    listed = run("jobs", "list", "--state", "parked")
    put_back = run("jobs", "retry", "j1")

    assert fake.seen[0].url.params["state"] == "parked"
    assert re.search(r"j1\W+digits\W+unlearn\W+parked\W+2", listed.output)
    assert "SIGKILL" in listed.output and "300 MiB" in listed.output
    assert put_back.output == "j1 is put back; 2 of its requests wait again\n"


def test_home_leads_to_the_lethe_that_is_up_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LETHE_URL", "LETHE_KEY", "LETHE_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path)
    home.create()
    home.write_running(Running("http://127.0.0.1:8321", 7, str(home.admin_key_path), str(tmp_path), "now"))
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(connection, "LetheClient", lambda url, key: made.append((url, key)))

    connection.connect(tmp_path)

    assert made == [("http://127.0.0.1:8321", home.admin_key())]


def test_key_of_the_home_never_goes_to_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Home(tmp_path).create()
    monkeypatch.delenv("LETHE_KEY", raising=False)
    monkeypatch.setenv("LETHE_URL", "http://elsewhere.test")

    with pytest.raises(LetheError, match="LETHE_KEY holds no key"):
        connection.connect(tmp_path)


def test_expected_error_is_one_line_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LETHE_URL", raising=False)

    with pytest.raises(SystemExit) as left:
        main(["status", "--home", str(tmp_path)])

    assert left.value.code == 1
    assert capsys.readouterr().err == (
        f"error: No Lethe is up in {tmp_path}. Start one with `lethe up`, choose its folder with --home, or "
        "name a server in LETHE_URL.\n"
    )


def test_module_command_becomes_the_module_with_all_its_arguments() -> None:
    script = """
import typer
from lethe.cli.modules import add_module
app = typer.Typer()
app.command("other")(lambda: None)
add_module(app, "tool", "json.tool", "Show JSON.")
app(["tool", "--compact", "--help"])
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)

    assert done.returncode == 0
    assert "--sort-keys" in done.stdout


def test_a_decision_is_sent_with_its_reason(run: Run, fake: FakeLethe) -> None:
    accepted = {"by": "k1", "reason": "risk_assessed", "at": "2026-01-02T04:00:00Z"}
    fake.requests["r1"] = forget_request("r1", status="accepted", acceptance=accepted)

    told = run("decide", "r1", "accept", "--reason", "risk_assessed").output

    sent = fake.bodies["POST /v1/forget-requests/r1/decision"]
    assert sent == {"decision": "accept", "reason": "risk_assessed"}
    assert "accepted by k1 (risk_assessed), not by the audit" in told


def test_what_needs_review_is_told_with_the_commands_that_decide(run: Run, fake: FakeLethe) -> None:
    choices = [
        {"decision": "accept", "is_possible": False, "text": "Nothing can be accepted."},
        {"decision": "approve", "is_possible": True, "text": "Send it through another run."},
    ]
    review = {"candidate": None, "exact_seconds": 720.0, "choices": choices}
    fake.requests["r1"] = forget_request("r1", status="needs_review", review=review)

    told = run("watch", "r1", expect=1).output

    assert "exact retraining costs about 720 s" in told
    assert "lethe decide r1 approve --reason CODE" in told
    assert "lethe decide r1 accept" not in told and "Nothing can be accepted." in told


def test_an_interim_version_rests_and_is_told_not_to_close_the_request(run: Run, fake: FakeLethe) -> None:
    interim = {"version": 2, "guarantee": "approximate", "published_at": "2026-01-02T04:00:00Z"}
    fake.requests["r1"] = forget_request("r1", reason="interim_published", interim=interim)

    told = run("watch", "r1", expect=1).output

    assert "interim version 2 is served" in told and "does not close the request" in told
