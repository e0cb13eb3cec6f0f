"""The object store of production: MinIO or any S3 server, through the `minio` SDK. SigV4, immutable keys, no metadata relied on."""

import hashlib
import io
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from queue import Full, Queue
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError

from mill_kit.store.folder import write_verified
from mill_kit.store.protocol import (
    CorruptObject,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    ObjectWriter,
    StoreUnavailable,
    check_key,
)

_PART = 8 * 2**20
_ABSENT = {"NoSuchKey", "NoSuchObject", "NotFound", "NoSuchBucket"}
_HAND_OVER_SECONDS = 60.0


class S3Store:
    """Objects of one bucket. A server that does not answer within seconds is `StoreUnavailable`."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def connect(cls, url: str, access_key: str, secret_key: str) -> "S3Store":
        """`url` is `s3://host:port/bucket?secure=true&region=…`; the bucket is made when it is not there."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        secure = query.get("secure", ["true"])[0] == "true"
        client = Minio(
            parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=query.get("region", ["us-east-1"])[0],
            http_client=urllib3.PoolManager(
                maxsize=16,
                timeout=urllib3.Timeout(connect=3, read=60),
                retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
            ),
        )
        store = cls(client, parts.path.strip("/"))
        store.make_bucket()
        return store

    def make_bucket(self) -> None:
        with _reported():
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket)

    @contextmanager
    def writer(self, key: str) -> Generator[ObjectWriter]:
        check_key(key)
        if self.exists(key):
            raise ObjectExists(f"{key} is written already; objects never change")
        writer = _S3Writer(self, key)
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
            while chunk := source.read(2**20):
                writer.write(chunk)
            return writer.commit()

    def upload(self, key: str, source: "io.RawIOBase") -> None:
        """Send a stream of unknown length in parts; the SDK aborts the upload when `source` raises."""
        with _reported(key):
            self._client.put_object(
                bucket_name=self._bucket,
                object_name=key,
                data=cast(Any, source),
                length=-1,
                part_size=_PART,
                num_parallel_uploads=1,
            )

    def get(self, key: str, *, sha256: str | None = None) -> bytes:
        data = b"".join(self.stream(key))
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptObject(f"{key} differs from what was written")
        return data

    def fetch(self, key: str, path: Path, *, sha256: str | None = None) -> ObjectInfo:
        return write_verified(key, self.stream(key), path, sha256)

    def stream(self, key: str, *, chunk_bytes: int = 2**20) -> Iterator[bytes]:
        with _reported(key):
            answer = self._client.get_object(bucket_name=self._bucket, object_name=check_key(key))
            try:
                yield from answer.stream(chunk_bytes)
            finally:
                answer.close()
                answer.release_conn()

    def size(self, key: str) -> int:
        with _reported(key):
            return self._client.stat_object(bucket_name=self._bucket, object_name=check_key(key)).size or 0

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        for item in self._objects(prefix):
            yield cast(str, item.object_name)

    def keys_before(self, moment: datetime, prefix: str = "") -> Iterator[str]:
        for item in self._objects(prefix):
            if item.last_modified is not None and item.last_modified < moment:
                yield cast(str, item.object_name)

    def discard_before(self, moment: datetime) -> int:  # noqa: ARG002 - the server ends abandoned uploads by its own rule
        """Nothing: parts of an abandoned upload are the server's (MinIO drops them after a day, S3 by a lifecycle rule)."""
        return 0

    def delete(self, key: str) -> None:
        try:
            with _reported(key):
                self._client.remove_object(bucket_name=self._bucket, object_name=check_key(key))
        except ObjectMissing:
            pass

    def check(self) -> None:
        with _reported():
            if not self._client.bucket_exists(bucket_name=self._bucket):
                raise StoreUnavailable(f"the bucket {self._bucket} does not exist")

    def _objects(self, prefix: str) -> Iterator[Object]:
        with _reported():
            for item in self._client.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True):
                if item.object_name is not None:
                    yield item


class _DiscardedError(Exception):
    """Raised inside the upload to make the SDK give it up."""


class _ChunkSource(io.RawIOBase):
    """The reading end of a writer: blocks for the next chunk, so that memory holds a few chunks and never the object."""

    def __init__(self) -> None:
        self.chunks: Queue[bytes | _DiscardedError | None] = Queue(maxsize=4)
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._rest) < size):
            chunk = self.chunks.get()
            if isinstance(chunk, _DiscardedError):
                raise chunk
            if chunk is None:
                self._ended = True
            else:
                self._rest += chunk
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _S3Writer:
    """Pushes chunks to a thread in which the SDK pulls them."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store, self._key = store, key
        self._hash = hashlib.sha256()
        self.size = 0
        self._source = _ChunkSource()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._send, name=f"upload {key}", daemon=True)
        self._thread.start()

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        self._hand_over(bytes(chunk))

    def commit(self) -> ObjectInfo:
        self._hand_over(None)
        self._thread.join()
        self._raise_failure()
        if self._store.size(self._key) != self.size:
            raise CorruptObject(f"the store kept another number of bytes than the {self.size} sent for {self._key}")
        return ObjectInfo(self._key, self.size, self._hash.hexdigest())

    def discard(self) -> None:
        while self._thread.is_alive():
            try:
                self._source.chunks.put(_DiscardedError(), timeout=0.1)
            except Full:
                continue
            self._thread.join(timeout=_HAND_OVER_SECONDS)
            return

    def _hand_over(self, chunk: bytes | None) -> None:
        while True:
            self._raise_failure()
            try:
                return self._source.chunks.put(chunk, timeout=0.5)
            except Full:
                continue

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        try:
            self._store.upload(self._key, self._source)
        except _DiscardedError:
            return
        except Exception as error:
            self._failure = error


@contextmanager
def _reported(key: str | None = None) -> Generator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in _ABSENT:
            raise ObjectMissing(f"{key or 'the bucket'} is not in the object store") from None
        raise StoreUnavailable(f"the object store refused: {error.code}") from error
    except InvalidResponseError as error:
        if "Response code: 404" in str(error):  # some servers answer errors as text/xml, which the SDK cannot read
            raise ObjectMissing(f"{key or 'the bucket'} is not in the object store") from None
        raise StoreUnavailable("the object store gave an answer that is not of S3") from error
    except (MinioException, HTTPError, OSError) as error:
        raise StoreUnavailable(f"the object store does not answer: {type(error).__name__}") from error
