"""An object store whose calls are steps of the work that makes them. Put around the store by a composition root, if at all."""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

from mill_kit.store import ObjectInfo, ObjectStore, ObjectWriter
from mill_kit.telemetry.tracer import OFF, Kind, Span, Tracer


def traced(store: ObjectStore, tracer: Tracer) -> ObjectStore:
    """The store itself where telemetry is off."""
    return store if tracer is OFF else TracedStore(store, tracer)


class TracedStore:
    """An `ObjectStore`. Keys are ours and hold ids alone, so a span may name them."""

    def __init__(self, store: ObjectStore, tracer: Tracer) -> None:
        self._store = store
        self._tracer = tracer

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        with self._step("write", key) as span, self._store.writer(key) as writer:
            yield writer
            span.note({"mill.object.bytes": writer.size})

    def put(self, key: str, data: bytes) -> ObjectInfo:
        with self._step("put", key) as span:
            return _sized(span, self._store.put(key, data))

    def put_file(self, key: str, path: Path) -> ObjectInfo:
        with self._step("put", key) as span:
            return _sized(span, self._store.put_file(key, path))

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        with self._step("get", key) as span:
            data = self._store.get(key, sha256=sha256)
            span.note({"mill.object.bytes": len(data)})
            return data

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> ObjectInfo:
        with self._step("fetch", key) as span:
            return _sized(span, self._store.fetch(key, path, sha256=sha256))

    def stream(self, key: str, *, chunk_bytes: int = 2**20) -> Iterator[bytes]:
        with self._step("stream", key):
            yield from self._store.stream(key, chunk_bytes=chunk_bytes)

    def size(self, key: str) -> int:
        with self._step("size", key):
            return self._store.size(key)

    def exists(self, key: str) -> bool:
        with self._step("exists", key):
            return self._store.exists(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        return self._store.keys(prefix)

    def keys_before(self, moment: datetime, prefix: str = "") -> Iterator[str]:
        return self._store.keys_before(moment, prefix)

    def discard_before(self, moment: datetime) -> int:
        with self._tracer.step("store discard", Kind.CLIENT):
            return self._store.discard_before(moment)

    def delete(self, key: str) -> None:
        with self._step("delete", key):
            self._store.delete(key)

    def check(self) -> None:
        self._store.check()

    def _step(self, verb: str, key: str) -> AbstractContextManager[Span]:
        return self._tracer.step(f"store {verb}", Kind.CLIENT, {"mill.object.key": key})


def _sized(span: Span, info: ObjectInfo) -> ObjectInfo:
    span.note({"mill.object.bytes": info.size})
    return info
