"""Pulling: whole or not at all, verified, resumed, and never back below the revocation floor."""

import json
from pathlib import Path

import pytest

from lethe.client import LetheApiError, LetheClient, LetheUnreachable, PullRefused, pull
from tests.fixtures.fake_lethe import KEY, FakeLethe

WEIGHTS = bytes(range(256)) * 1000


def client_of(fake: FakeLethe) -> LetheClient:
    return LetheClient("http://lethe.test", KEY, fake.transport)


def publishing(number: int = 1, data: bytes = WEIGHTS, floor: int = 1) -> FakeLethe:
    fake = FakeLethe()
    fake.publish(number, data, floor=floor)
    return fake


def test_pulled_version_is_what_current_points_at(tmp_path: Path) -> None:
    pulled = pull(client_of(publishing()), "digits", tmp_path)

    assert pulled is not None
    assert (tmp_path / "current").resolve() == pulled.folder
    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == WEIGHTS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "pull.json", "v1"]


def test_second_pull_of_the_same_version_asks_once_and_fetches_nothing(tmp_path: Path) -> None:
    fake = publishing()
    client = client_of(fake)
    pull(client, "digits", tmp_path)
    num_seen = len(fake.seen)

    assert pull(client, "digits", tmp_path) is None
    assert len(fake.seen) == num_seen + 1


def test_new_version_replaces_the_revoked_one_which_is_deleted(tmp_path: Path) -> None:
    fake = publishing()
    client = client_of(fake)
    pull(client, "digits", tmp_path)
    fake.publish(2, b"forgotten", floor=2)

    pulled = pull(client, "digits", tmp_path)

    assert pulled is not None
    assert pulled.removed == (1,)
    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == b"forgotten"
    assert not (tmp_path / "v1").exists()


def test_offer_below_the_remembered_floor_is_refused(tmp_path: Path) -> None:
    fake = publishing(2, b"forgotten", floor=2)
    client = client_of(fake)
    pull(client, "digits", tmp_path)
    restored_backup = publishing(1, WEIGHTS, floor=1)

    with pytest.raises(PullRefused, match="Version 1 was offered, but versions below 2 were revoked"):
        pull(client_of(restored_backup), "digits", tmp_path)

    assert (tmp_path / "current").resolve().name == "v2"
    assert json.loads((tmp_path / "pull.json").read_text())["revocation_floor"] == 2


def test_broken_transfer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    fake = publishing()
    fake.cut_after = [1000, 5000]

    pull(client_of(fake), "digits", tmp_path)

    ranges = [request.headers.get("Range") for request in fake.seen if "/files/" in request.url.path]
    assert ranges == [None, "bytes=1000-", "bytes=6000-"]
    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == WEIGHTS


def test_line_that_keeps_breaking_leaves_no_version(tmp_path: Path) -> None:
    fake = publishing()
    fake.cut_after = [10, 10, 10, 10]

    with pytest.raises(LetheUnreachable):
        pull(client_of(fake), "digits", tmp_path)

    assert not (tmp_path / "v1").exists()
    assert not (tmp_path / "current").is_symlink()


def test_wrong_bytes_are_refused_and_deleted(tmp_path: Path) -> None:
    fake = publishing()
    answer = fake.answer

    def lie(request):
        fake.files[1] = WEIGHTS if request.url.path.endswith("latest") else WEIGHTS[:-1] + b"!"
        return answer(request)

    fake.answer = lie

    with pytest.raises(PullRefused, match="was to have the SHA-256"):
        pull(client_of(fake), "digits", tmp_path)

    assert list(tmp_path.rglob("*.safetensors")) == []


def test_leftover_of_a_longer_file_does_not_harm(tmp_path: Path) -> None:
    unfinished = tmp_path / ".v1.unfinished"
    unfinished.mkdir()
    (unfinished / "weights.safetensors").write_bytes(WEIGHTS + b"more")

    pull(client_of(publishing()), "digits", tmp_path)

    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == WEIGHTS


def test_version_withdrawn_between_pointer_and_file_is_followed_by_its_successor(tmp_path: Path) -> None:
    fake = publishing()
    answer = fake.answer

    def withdraw_at_the_first_file(request):
        if "/files/" in request.url.path and fake.served == 1:
            fake.publish(2, b"forgotten", floor=2)
        return answer(request)

    fake.answer = withdraw_at_the_first_file

    pulled = pull(client_of(fake), "digits", tmp_path)

    assert pulled is not None
    assert pulled.version.version == 2


def test_file_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    fake = publishing()
    answer = fake.answer

    def rename(request):
        response = answer(request)
        if request.url.path.endswith("latest"):
            told = response.json()
            told["files"][0]["name"] = "../outside"
            return type(response)(200, json=told, headers={"ETag": '"x"'})
        return response

    fake.answer = rename

    with pytest.raises(PullRefused, match="not a plain file name"):
        pull(client_of(fake), "digits", tmp_path / "out")

    assert not (tmp_path / "outside").exists()


def test_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    pull(client_of(publishing()), "digits", tmp_path)

    with pytest.raises(PullRefused, match="holds versions of digits, not of letters"):
        pull(client_of(publishing()), "letters", tmp_path)


def test_model_without_a_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LetheApiError, match="No version is served"):
        pull(client_of(FakeLethe()), "digits", tmp_path)


def test_lost_version_folder_is_fetched_again(tmp_path: Path) -> None:
    client = client_of(publishing())
    pulled = pull(client, "digits", tmp_path)
    assert pulled is not None
    (pulled.folder / "weights.safetensors").unlink()
    pulled.folder.rmdir()

    assert pull(client, "digits", tmp_path) is not None
    assert (tmp_path / "current" / "weights.safetensors").read_bytes() == WEIGHTS
