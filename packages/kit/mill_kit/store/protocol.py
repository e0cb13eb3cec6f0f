"""The `ObjectStore` protocol and its errors. Callers keep size and sha256 in their own rows and pass them back to check.

All methods block; asyncio callers use `asyncio.to_thread`. Keys are ours, never a client's: `[a-z0-9._-]` segments joined by `/`.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mill_kit.problems import Problem, Unavailable

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*", re.ASCII)
_LONGEST_KEY = 512


class ObjectMissing(Problem):
    status = 404
    slug = "object-missing"
    title = "The stored object is missing"


class ObjectExists(Problem):
    status = 409
    slug = "object-exists"
    title = "An object with this key exists already"


class InvalidKey(Problem):
    status = 500
    slug = "invalid-object-key"
    title = "Not a valid object key"


class CorruptObject(Problem):
    status = 500
    slug = "corrupt-object"
    title = "The stored object is not what was written"


class StoreUnavailable(Unavailable):
    slug = "object-store-unavailable"
    title = "The object store does not answer"


@dataclass(frozen=True)
class ObjectInfo:
    """What was written: `sha256` is lower-case hex, `size` in bytes."""

    key: str
    size: int
    sha256: str


class ObjectWriter(Protocol):
    """A write in progress. Nothing is visible under the key before `commit`; leaving without it discards everything."""

    @property
    def size(self) -> int: ...

    def write(self, chunk: bytes) -> None: ...

    def commit(self) -> ObjectInfo: ...

    def discard(self) -> None: ...


class ObjectStore(Protocol):
    """Immutable objects by key; a key is written once."""

    def writer(self, key: str) -> AbstractContextManager[ObjectWriter]:
        """Stream an object of unknown size in constant memory. Raises `ObjectExists`, `StoreUnavailable`."""
        ...

    def put(self, key: str, data: bytes) -> ObjectInfo: ...

    def put_file(self, key: str, path: Path) -> ObjectInfo: ...

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        """Raises `ObjectMissing`, and `CorruptObject` where `sha256` is given and differs."""
        ...

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> ObjectInfo:
        """Write the object to `path` atomically (same folder, then rename), verified when `sha256` is given."""
        ...

    def stream(self, key: str, *, chunk_bytes: int = 2**20) -> Iterator[bytes]: ...

    def size(self, key: str) -> int: ...

    def exists(self, key: str) -> bool: ...

    def keys(self, prefix: str = "") -> Iterator[str]: ...

    def keys_before(self, moment: datetime, prefix: str = "") -> Iterator[str]:
        """The keys of `prefix` written before `moment` (with its time zone), by the store's own clock."""
        ...

    def discard_before(self, moment: datetime) -> int:
        """Remove what writers that died before `moment` left half-written; returns how many."""
        ...

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        ...

    def check(self) -> None:
        """Raises `StoreUnavailable` when the store does not answer."""
        ...


def check_key(key: str) -> str:
    """The key itself, or `InvalidKey`: no dot segments, no absolute paths, no upper case, at most 512 characters."""
    if len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        raise InvalidKey(f"{key[:80]!r} is not an object key")
    return key
