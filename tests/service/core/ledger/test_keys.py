"""Key files: made once whoever races, readable by their owner alone, refused when they are no key."""

import multiprocessing
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from service.core.ledger import errors, keys

LOADERS = [keys.load_or_create_signing_key, keys.load_or_create_pseudonym_key, keys.load_or_create_noise_key]


def secret_of(key):
    return key if isinstance(key, bytes) else key.private_bytes_raw()


def load_secret(load, path, barrier, queue):
    barrier.wait()
    queue.put(secret_of(load(path)))


@pytest.mark.parametrize("load", LOADERS)
def test_key_is_made_once_and_kept(tmp_path, load):
    path = tmp_path / "keys" / "secret"

    first, second = load(path), load(path)

    assert secret_of(first) == secret_of(second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize("load", LOADERS)
def test_two_homes_have_two_keys(tmp_path, load):
    assert secret_of(load(tmp_path / "one")) != secret_of(load(tmp_path / "two"))


@pytest.mark.parametrize("load", LOADERS)
def test_racing_processes_get_the_same_key(tmp_path, load):
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4), context.Queue()
    racers = [
        context.Process(target=load_secret, args=(load, tmp_path / "secret", barrier, queue))
        for _ in range(4)
    ]

    for racer in racers:
        racer.start()
    secrets = {queue.get(timeout=20) for _ in racers}
    for racer in racers:
        racer.join(timeout=20)

    assert secrets == {secret_of(load(tmp_path / "secret"))}


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64])
def test_file_that_is_no_key_is_refused_and_left_alone(tmp_path, load, content):
    path = tmp_path / "secret"
    path.write_bytes(content)

    with pytest.raises(errors.KeyFileError, match="secret"):
        load(path)
    assert path.read_bytes() == content


def test_key_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "secret"
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(errors.KeyFileError, match="Ed25519"):
        keys.load_or_create_signing_key(path)


@pytest.mark.parametrize("load", LOADERS)
def test_path_that_cannot_be_a_file_is_refused(tmp_path, load):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(errors.KeyFileError):
        load(tmp_path)
    with pytest.raises(errors.KeyFileError):
        load(tmp_path / "file" / "secret")


def test_message_of_a_refusal_holds_nothing_of_the_file(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"ab" * 31)

    with pytest.raises(errors.KeyFileError) as caught:
        keys.load_or_create_pseudonym_key(path)

    assert "abab" not in str(caught.value)
