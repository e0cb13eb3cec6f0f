"""An object store in a dictionary; passes the same contract tests as the folder and the S3 server."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mill_kit.store.folder import write_verified
from mill_kit.store.protocol import CorruptObject, ObjectExists, ObjectInfo, ObjectMissing, ObjectWriter, check_key


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """`clock` tells when an object is written."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._objects: dict[str, bytes] = {}
        self._written: dict[str, datetime] = {}
        self._clock = clock

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        if check_key(key) in self._objects:
            raise ObjectExists(f"{key} is written already; objects never change")
        yield _MemoryWriter(key, self._keep)

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

    def keys_before(self, moment: datetime, prefix: str = "") -> Iterator[str]:
        return (key for key in self.keys(prefix) if self._written[key] < moment)

    def discard_before(self, moment: datetime) -> int:  # noqa: ARG002 - memory dies with its writer
        return 0

    def delete(self, key: str) -> None:
        self._objects.pop(check_key(key), None)

    def check(self) -> None:
        """Memory always answers."""

    def _keep(self, key: str, data: bytes) -> None:
        if key in self._objects:
            raise ObjectExists(f"{key} is written already; objects never change")
        self._objects[key], self._written[key] = data, self._clock()


class _MemoryWriter:
    def __init__(self, key: str, keep: Callable[[str, bytes], None]) -> None:
        self._key, self._keep, self._data = key, keep, bytearray()

    @property
    def size(self) -> int:
        return len(self._data)

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def commit(self) -> ObjectInfo:
        self._keep(self._key, bytes(self._data))
        return ObjectInfo(self._key, len(self._data), hashlib.sha256(self._data).hexdigest())

    def discard(self) -> None:
        self._data.clear()
