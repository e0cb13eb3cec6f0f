"""The object store of the embedded stack: a folder. A temporary file, fsync, then a hard link makes each object appear whole."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
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
        for path in self._files(prefix):
            yield path.relative_to(self._root).as_posix()

    def keys_before(self, moment: datetime, prefix: str = "") -> Iterator[str]:
        for path in self._files(prefix):
            if _is_older(path, moment):
                yield path.relative_to(self._root).as_posix()

    def discard_before(self, moment: datetime) -> int:
        with _reported():
            stale = [path for path in self._incoming.iterdir() if _is_older(path, moment)]
            for path in stale:
                path.unlink(missing_ok=True)
        return len(stale)

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

    def _files(self, prefix: str) -> Iterator[Path]:
        """The objects of `prefix`, in order. Only its own folder is walked: a store may hold millions of others."""
        home, _, begin = prefix.rpartition("/")
        top = self._root / check_key(home) if home else self._root
        for folder, names, files in os.walk(top):
            wanted = begin if Path(folder) == top else ""
            names[:] = sorted(
                name for name in names if name.startswith(wanted) and Path(folder, name) != self._incoming
            )
            yield from (Path(folder, file) for file in sorted(files) if file.startswith(wanted))


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


def _is_older(path: Path, moment: datetime) -> bool:
    """False too for what has gone meanwhile."""
    try:
        return path.stat().st_mtime < moment.timestamp()
    except FileNotFoundError:
        return False


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
