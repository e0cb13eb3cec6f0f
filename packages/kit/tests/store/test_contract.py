"""The contract of every object store; the fake, the folder and real S3 servers pass the same tests."""

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mill_kit.store import (
    CorruptObject,
    InvalidKey,
    ObjectExists,
    ObjectMissing,
    ObjectStore,
    StoreUnavailable,
)
from mill_kit.store.folder import FileStore
from mill_kit.store.open import open_store
from mill_kit.testing import FrozenClock, MemoryStore


@pytest.fixture(params=["memory", "folder", "s3", "rclone"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "folder":
            return FileStore(tmp_path / "objects")
        case name:
            server: Any = request.getfixturevalue("s3_server" if name == "s3" else "rclone_server")
            return open_store(server.url(f"bucket-{uuid4().hex[:8]}"), server.access_key, server.secret_key)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 9 * 2**20 + 3], ids=str)
def test_what_goes_in_comes_out(store: ObjectStore, size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(min(size, 1000))) * (size // 1000 + 1)
    data = data[:size]
    info = store.put("a/b/c.bin", data)
    assert (info.size, info.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert store.get("a/b/c.bin", sha256=info.sha256) == data
    assert store.size("a/b/c.bin") == size


def test_a_stream_of_many_chunks_is_one_object(store: ObjectStore) -> None:
    with store.writer("big/object") as writer:
        for _ in range(40):
            writer.write(b"x" * 2**19)
        info = writer.commit()
    assert info.size == store.size("big/object") == 40 * 2**19
    assert sum(len(chunk) for chunk in store.stream("big/object")) == info.size


def test_nothing_appears_without_a_commit(store: ObjectStore) -> None:
    with store.writer("half/written") as writer:
        writer.write(b"y" * 9 * 2**20)
    assert not store.exists("half/written")
    assert list(store.keys("half")) == []


def test_nothing_appears_when_the_sender_fails(store: ObjectStore) -> None:
    def send() -> None:
        with store.writer("gone") as writer:
            writer.write(b"z")
            raise ConnectionError("the client left")

    with pytest.raises(ConnectionError):
        send()
    assert not store.exists("gone")


def test_an_object_is_written_once(store: ObjectStore) -> None:
    store.put("once", b"first")
    with pytest.raises(ObjectExists):
        store.put("once", b"second")
    assert store.get("once") == b"first"


def test_a_missing_object_is_named(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="no/such"):
        store.get("no/such")
    with pytest.raises(ObjectMissing):
        store.fetch("no/such", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ObjectMissing):
        store.size("no/such")


def test_corruption_is_refused_and_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    store.put("object", b"data")
    with pytest.raises(CorruptObject):
        store.get("object", sha256="0" * 64)
    with pytest.raises(CorruptObject):
        store.fetch("object", tmp_path / "copy", sha256="0" * 64)
    assert list(tmp_path.glob("*copy*")) == []


def test_a_fetched_file_is_the_object(store: ObjectStore, tmp_path: Path) -> None:
    info = store.put("object", b"data" * 1000)
    assert store.fetch("object", tmp_path / "copy", sha256=info.sha256) == info
    assert (tmp_path / "copy").read_bytes() == b"data" * 1000


def test_a_file_can_be_put(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"f" * 3_000_000)
    assert store.put_file("from/file", tmp_path / "file").size == 3_000_000


def test_keys_are_listed_by_prefix(store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "b/1"):
        store.put(key, b"")
    assert sorted(store.keys("a/")) == ["a/1", "a/2"]
    assert sorted(store.keys()) == ["a/1", "a/2", "b/1"]
    assert sorted(store.keys("a")) == ["a/1", "a/2"]
    assert list(store.keys("a/2")) == ["a/2"]
    assert list(store.keys("no/such/")) == []


def test_keys_are_listed_by_age(store: ObjectStore) -> None:
    for key in ("a/1", "a/b/2", "b/1"):
        store.put(key, b"")
    now = datetime.now(UTC)
    assert list(store.keys_before(now - timedelta(minutes=5))) == []
    assert sorted(store.keys_before(now + timedelta(minutes=5), "a/")) == ["a/1", "a/b/2"]
    assert sorted(store.keys_before(now + timedelta(minutes=5))) == ["a/1", "a/b/2", "b/1"]


def test_half_written_objects_of_living_writers_are_left_alone(store: ObjectStore) -> None:
    with store.writer("a/1") as writer:
        writer.write(b"half")
        assert store.discard_before(datetime.now(UTC) - timedelta(minutes=5)) == 0
        writer.commit()
    assert store.get("a/1") == b"half"


def test_deleting_twice_is_no_error(store: ObjectStore) -> None:
    store.put("a/b", b"1")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")
    store.put("a/b", b"2")
    assert store.get("a/b") == b"2"


@pytest.mark.parametrize("key", ["", "/a", "a/", "../a", "a/../b", "A", "a//b", "a\\b", ".a", "é", "a" * 600])
def test_a_key_that_is_not_ours_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InvalidKey):
        store.put(key, b"")


def test_of_many_writers_of_one_key_in_a_folder_one_wins(tmp_path: Path) -> None:
    store, won = FileStore(tmp_path), list[int]()

    def write(number: int) -> None:
        try:
            store.put("contested/key", str(number).encode() * 1000)
        except ObjectExists:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("contested/key") == str(won[0]).encode() * 1000


def test_a_store_that_is_away_says_so() -> None:
    with pytest.raises(StoreUnavailable):
        open_store("s3://127.0.0.1:9/bucket?secure=false", "key", "secret")


@pytest.mark.parametrize("url", ["http://x/y", "file://relative/path", "s3://host", "folder"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an object store"):
        open_store(url, "key", "secret")


def test_what_a_killed_writer_left_in_a_folder_is_removed_when_it_is_old(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    left = [tmp_path / ".incoming" / name for name in ("old", "young")]
    for path in left:
        path.write_bytes(b"half")
    os.utime(left[0], (0, 0))
    assert store.discard_before(datetime.now(UTC) - timedelta(hours=24)) == 1
    assert [path.exists() for path in left] == [False, True]


def test_a_listing_stays_within_the_folder_of_its_prefix(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for key in ("published/1.json", "published/2/x", "published-elsewhere/1.json", "datasets/1"):
        store.put(key, b"")
    assert list(store.keys("published/")) == ["published/1.json", "published/2/x"]
    assert list(store.keys("published/1")) == ["published/1.json"]
    with pytest.raises(InvalidKey):
        list(store.keys("../"))


def test_the_memory_store_tells_ages_by_its_clock() -> None:
    clock = FrozenClock()
    store = MemoryStore(clock)
    store.put("a/1", b"")
    clock.advance(10)
    store.put("a/2", b"")
    assert list(store.keys_before(clock())) == ["a/1"]
