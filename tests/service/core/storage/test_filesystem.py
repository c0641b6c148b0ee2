"""The artefact store in a folder: whole or not at all, verified when read, purged for good."""

import hashlib
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core import errors
from service.core.storage.base import ArtefactStore, Stored
from service.core.storage.filesystem import PARTIAL, FilesystemStore, chunks_of

SPACE = "0123abcd"
UNKNOWN = "0" * 64


class TestPut:
    @settings(max_examples=30)
    @given(chunks=st.lists(st.binary(max_size=300), max_size=5))
    def test_what_is_put_can_be_read_by_its_digest(
        self, tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
    ) -> None:
        store: ArtefactStore = FilesystemStore(tmp_path_factory.mktemp("store"))
        data = b"".join(chunks)

        stored = store.put(SPACE, chunks)

        assert stored == Stored(hashlib.sha256(data).hexdigest(), len(data))
        assert store.read(SPACE, stored.sha256) == data
        assert store.path(SPACE, stored.sha256).read_bytes() == data

    def test_same_bytes_twice_are_one_file(self, store: FilesystemStore) -> None:
        with ThreadPoolExecutor(4) as pool:
            stored = set(pool.map(lambda _: store.put(SPACE, [b"weights"]), range(8)))

        assert len(stored) == 1
        assert files_below(store.root) == [store.path(SPACE, stored.pop().sha256)]

    def test_spaces_share_nothing(self, store: FilesystemStore) -> None:
        stored = store.put("one", [b"weights"])

        with pytest.raises(errors.NotFound):
            store.read("two", stored.sha256)
        store.put("two", [b"weights"])
        store.delete("one", stored.sha256)
        assert store.read("two", stored.sha256) == b"weights"

    def test_nobody_else_may_read_an_artefact(self, store: FilesystemStore) -> None:
        stored = store.put(SPACE, [b"weights"])

        file = store.path(SPACE, stored.sha256)
        assert file.stat().st_mode & 0o077 == 0
        assert (store.root / SPACE).stat().st_mode & 0o077 == 0

    def test_source_that_breaks_off_leaves_nothing(self, store: FilesystemStore) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"x" * 10_000
            raise ConnectionAbortedError("the client hung up")

        with pytest.raises(errors.Unavailable):
            store.put(SPACE, chunks())

        assert files_below(store.root) == []

    def test_error_of_the_caller_passes_through_and_leaves_nothing(self, store: FilesystemStore) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"x" * 10_000
            raise errors.TooLarge("too large")

        with pytest.raises(errors.TooLarge):
            store.put(SPACE, chunks())

        assert files_below(store.root) == []

    def test_full_disk_leaves_nothing_and_says_so(self, store: FilesystemStore) -> None:
        kept = store.put(SPACE, [b"kept"])

        with files_limited_to(100_000), pytest.raises(errors.Unavailable) as refusal:
            store.put(SPACE, (b"x" * 30_000 for _ in range(10)))

        assert refusal.value.code == "storage_unavailable"
        assert refusal.value.is_retryable
        assert files_below(store.root) == [store.path(SPACE, kept.sha256)]

    def test_disk_that_cannot_make_it_durable_leaves_nothing(
        self, store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(errors.Unavailable, match="Input/output error"):
            store.put(SPACE, [b"weights"])

        assert files_below(store.root) == []

    def test_store_that_is_no_folder_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "store").write_text("a file stands in the way")

        with pytest.raises(errors.Unavailable):
            FilesystemStore(tmp_path / "store").put(SPACE, [b"weights"])


class TestRead:
    @pytest.mark.parametrize("damage", [b"", b"weightz", b"weights and more"])
    def test_other_bytes_than_were_stored_are_never_returned(
        self, store: FilesystemStore, damage: bytes
    ) -> None:
        stored = store.put(SPACE, [b"weights"])
        store.path(SPACE, stored.sha256).write_bytes(damage)

        with pytest.raises(errors.IntegrityBroken):
            store.read(SPACE, stored.sha256)

    def test_unknown_artefact_is_not_found(self, store: FilesystemStore) -> None:
        with pytest.raises(errors.NotFound):
            store.read(SPACE, UNKNOWN)
        with pytest.raises(errors.NotFound):
            store.path(SPACE, UNKNOWN)

    def test_artefact_purged_between_look_and_read_is_not_found(
        self, store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = store.put(SPACE, [b"weights"])
        file = store.path(SPACE, stored.sha256)
        store.delete(SPACE, stored.sha256)
        monkeypatch.setattr(store, "path", lambda *_: file)

        with pytest.raises(errors.NotFound):
            store.read(SPACE, stored.sha256)

    @pytest.mark.parametrize(
        "sha256", ["", "..", "../" * 10, "A" * 64, "g" * 64, "0" * 63, "0" * 65, f"{'0' * 64}\n"]
    )
    def test_what_is_no_digest_is_refused(self, store: FilesystemStore, sha256: str) -> None:
        for act in (store.read, store.path, store.delete):
            with pytest.raises(errors.Invalid):
                act(SPACE, sha256)

    @pytest.mark.parametrize("space", ["", "..", "a/b", "a.b", "x" * 81, "a\n", "a b"])
    def test_what_is_no_space_is_refused(self, store: FilesystemStore, space: str) -> None:
        with pytest.raises(errors.Invalid):
            store.put(space, [b"weights"])
        with pytest.raises(errors.Invalid):
            store.read(space, UNKNOWN)
        assert not store.root.exists()

    def test_file_is_read_in_bounded_pieces(self, tmp_path: Path) -> None:
        file = tmp_path / "large"
        file.write_bytes(bytes(2_500_000))

        pieces = list(chunks_of(file))

        assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 2_500_000 - (2 << 20)]


class TestPurge:
    def test_deleting_frees_the_bytes_once(self, store: FilesystemStore) -> None:
        stored = store.put(SPACE, [b"weights"])

        assert store.delete(SPACE, stored.sha256) == 7
        assert store.delete(SPACE, stored.sha256) == 0
        assert files_below(store.root) == []

    def test_digests_are_those_of_whole_artefacts(self, store: FilesystemStore) -> None:
        expected = {store.put(SPACE, [bytes([number])]).sha256 for number in range(5)}
        store.put("other", [b"elsewhere"])
        leave_behind(store)

        assert set(store.digests(SPACE)) == expected
        assert list(store.digests("empty")) == []

    def test_sweep_removes_what_a_killed_writer_left_and_spares_the_rest(
        self, store: FilesystemStore
    ) -> None:
        stored = store.put(SPACE, [b"weights"])
        leave_behind(store)

        store.sweep_partials(SPACE)
        store.sweep_partials("empty")

        assert files_below(store.root) == [store.path(SPACE, stored.sha256)]

    def test_a_writer_whose_file_was_swept_is_told(self, store: FilesystemStore) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"weights"
            store.sweep_partials(SPACE)

        with pytest.raises(errors.Unavailable):
            store.put(SPACE, chunks())

        assert files_below(store.root) == []

    def test_a_checkpoint_is_no_artefact_and_goes_with_the_half_written_ones(
        self, store: FilesystemStore
    ) -> None:
        path = store.checkpoint(SPACE, "pass")
        path.write_bytes(b"how far it is")
        path.with_name(f".{path.name}.17").write_bytes(b"half of it")
        assert list(store.digests(SPACE)) == [] and store.checkpoint(SPACE, "pass") == path

        store.sweep_checkpoints(SPACE)

        assert files_below(store.root) == []


def leave_behind(store: FilesystemStore) -> Path:
    """An unfinished file, as a writer that was killed leaves it."""
    folder = store.root / SPACE
    file = folder / f"{PARTIAL}{len(list(folder.iterdir()))}"
    file.write_bytes(b"half of the wei")
    return file


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def files_limited_to(num_bytes: int) -> Iterator[None]:
    """Let every write beyond this size fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
