"""The object store: immutable keys, bytes in, the same bytes out. A folder or any S3 server behind one protocol."""

from mill_kit.store.protocol import (
    CorruptObject,
    InvalidKey,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    ObjectStore,
    ObjectWriter,
    StoreUnavailable,
    check_key,
)

__all__ = [
    "CorruptObject",
    "InvalidKey",
    "ObjectExists",
    "ObjectInfo",
    "ObjectMissing",
    "ObjectStore",
    "ObjectWriter",
    "StoreUnavailable",
    "check_key",
]
