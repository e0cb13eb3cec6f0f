"""The object store of the embedded stack: a folder. A temporary file, fsync, then a hard link makes each object appear whole."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from mill_kit.store.protocol import (
    CorruptObject,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    ObjectWriter,
    StoreUnavailable,
    check_key,
)

_CHUNK = 2**20


class FileStore:
    """Objects as files under `root`, readable by their owner alone. Many processes of one machine may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        target = self._path(key)
        if target.exists():
            raise ObjectExists(f"{key} is written already; objects never change")
        with _reported():
            descriptor, name = tempfile.mkstemp(dir=self._incoming)
        writer = _FileWriter(key, FileIO(descriptor, "wb"), Path(name), target)
        try:
            yield writer
        finally:
            writer.discard()

    def put(self, key: str, data: bytes) -> ObjectInfo:
        with self.writer(key) as writer:
            writer.write(data)
            return writer.commit()

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        with self.writer(key) as writer, path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                writer.write(chunk)
            return writer.commit()

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        data = b"".join(self.stream(key))
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptObject(f"{key} differs from what was written")
        return data

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> ObjectInfo:
        return write_verified(key, self.stream(key), path, sha256)

    def stream(self, key: str, *, chunk_bytes: int = _CHUNK) -> Iterator[bytes]:
        with _reported(key), self._path(key).open("rb") as source:
            while chunk := source.read(chunk_bytes):
                yield chunk

    def size(self, key: str) -> int:
        with _reported(key):
            return self._path(key).stat().st_size

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def keys(self, prefix: str = "") -> Iterator[str]:
        for folder, names, files in os.walk(self._root):
            names[:] = sorted(name for name in names if Path(folder, name) != self._incoming)
            for file in sorted(files):
                key = Path(folder, file).relative_to(self._root).as_posix()
                if key.startswith(prefix):
                    yield key

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _reported():
            path.unlink(missing_ok=True)
            for parent in path.relative_to(self._root).parents[:-1]:
                if not _remove_if_empty(self._root / parent):
                    break

    def check(self) -> None:
        with _reported(), tempfile.TemporaryFile(dir=self._incoming):
            pass

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


class _FileWriter:
    def __init__(self, key: str, file: FileIO, temporary: Path, target: Path) -> None:
        self._key, self._file, self._temporary, self._target = key, file, temporary, target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        with _reported():
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def commit(self) -> ObjectInfo:
        with _reported():
            os.fsync(self._file.fileno())
            self._file.close()
            self._appear()
        return ObjectInfo(self._key, self.size, self._hash.hexdigest())

    def _appear(self) -> None:
        """Link the finished file to its key. The folder may vanish between making and linking when another key is deleted."""
        while True:
            self._target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                os.link(self._temporary, self._target)
            except FileExistsError:
                raise ObjectExists(f"{self._key} is written already; objects never change") from None
            except FileNotFoundError:
                if not self._temporary.exists():
                    raise
                continue
            _sync_folder(self._target.parent)
            return

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def write_verified(key: str, chunks: Iterator[bytes], path: Path, sha256: str | None) -> ObjectInfo:
    """Write `chunks` to `path` by way of a file beside it; nothing appears when they do not add up to `sha256`."""
    digest, size = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".fetch-")
    try:
        with os.fdopen(descriptor, "wb") as target:
            for chunk in chunks:
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise CorruptObject(f"{key} differs from what was written")
        shutil.move(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return ObjectInfo(key, size, digest.hexdigest())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def _reported(key: str | None = None) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if key is None:
            raise StoreUnavailable(f"the object folder is gone: {error.filename}") from error
        raise ObjectMissing(f"{key} is not in the object store") from None
    except OSError as error:
        raise StoreUnavailable(f"the object folder cannot be used: {error.strerror}") from error
