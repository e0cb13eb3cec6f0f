"""An object store in a dictionary; passes the same contract tests as the folder and the S3 server."""

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from mill_kit.store.folder import write_verified
from mill_kit.store.protocol import CorruptObject, ObjectExists, ObjectInfo, ObjectMissing, ObjectWriter, check_key


class MemoryStore:
    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        if check_key(key) in self._objects:
            raise ObjectExists(f"{key} is written already; objects never change")
        yield _MemoryWriter(key, self._objects)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        with self.writer(key) as writer:
            writer.write(data)
            return writer.commit()

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        return self.put(key, path.read_bytes())

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        data = self._objects.get(check_key(key))
        if data is None:
            raise ObjectMissing(f"{key} is not in the object store")
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptObject(f"{key} differs from what was written")
        return data

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> ObjectInfo:
        return write_verified(key, iter([self.get(key)]), path, sha256)

    def stream(self, key: str, *, chunk_bytes: int = 2**20) -> Iterator[bytes]:
        data = self.get(key)
        yield from (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))

    def size(self, key: str) -> int:
        return len(self.get(key))

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def keys(self, prefix: str = "") -> Iterator[str]:
        return iter(sorted(key for key in self._objects if key.startswith(prefix)))

    def delete(self, key: str) -> None:
        self._objects.pop(check_key(key), None)

    def check(self) -> None:
        """Memory always answers."""


class _MemoryWriter:
    def __init__(self, key: str, objects: dict[str, bytes]) -> None:
        self._key, self._objects, self._data = key, objects, bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def commit(self) -> ObjectInfo:
        if self._key in self._objects:
            raise ObjectExists(f"{self._key} is written already; objects never change")
        self._objects[self._key] = bytes(self._data)
        return ObjectInfo(self._key, len(self._data), hashlib.sha256(self._data).hexdigest())

    def discard(self) -> None:
        self._data.clear()
