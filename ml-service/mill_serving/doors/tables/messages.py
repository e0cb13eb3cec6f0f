"""How large the record batches of an Arrow stream become when unpacked, read from their heads without unpacking them.

A packed buffer begins with its true length (int64, -1 for not packed). Where it stands is told by the message's flatbuffer:
field 1 of Message is the kind of header, field 2 the header; of RecordBatch field 2 are the buffers, field 3 the compression;
field 1 of DictionaryBatch is its RecordBatch.
"""

import struct
from collections.abc import Iterator
from typing import Any

_DICTIONARY_BATCH = 2
_RECORD_BATCH = 3
_MOST_BUFFERS = 1 << 20


def unpacked_bytes(messages: Any) -> int:
    """The sum over all messages of a `pyarrow.ipc.MessageReader`. Raises `ValueError` for what is no message."""
    total = 0
    for message in messages:
        try:
            total += sum(_lengths(bytes(message.metadata), message.body))
        except (struct.error, IndexError) as error:
            raise ValueError("a message's head is damaged") from error
    return total


def _lengths(head: bytes, body: Any) -> Iterator[int]:
    root = _u32(head, 0)
    kind_at, batch_at = _field(head, root, 1), _field(head, root, 2)
    kind = head[kind_at] if kind_at else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH) or not batch_at:
        return
    batch = batch_at + _u32(head, batch_at)
    if kind == _DICTIONARY_BATCH:
        inner = _field(head, batch, 1)
        if not inner:
            return
        batch = inner + _u32(head, inner)
    buffers_at = _field(head, batch, 2)
    if not _field(head, batch, 3) or not buffers_at or body is None:
        return  # not packed: as large as it lies there
    data = memoryview(body)
    vector = buffers_at + _u32(head, buffers_at)
    count = _u32(head, vector)
    if count > _MOST_BUFFERS:
        raise ValueError("a message has too many buffers")
    for number in range(count):
        offset, length = struct.unpack_from("<qq", head, vector + 4 + 16 * number)
        if length <= 0:
            continue
        if offset < 0:
            raise ValueError("a buffer lies outside its message")
        (unpacked,) = struct.unpack_from("<q", data, offset)
        if unpacked < -1:
            raise ValueError("a buffer has a negative length")
        yield length if unpacked == -1 else unpacked


def _field(head: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer table stands, 0 when it is absent."""
    (back,) = struct.unpack_from("<i", head, table)
    vtable = table - back
    if vtable < 0:
        raise IndexError
    size: int = struct.unpack_from("<H", head, vtable)[0]
    slot = 4 + 2 * number
    if slot + 2 > size:
        return 0
    offset: int = struct.unpack_from("<H", head, vtable + slot)[0]
    return table + offset if offset else 0


def _u32(head: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", head, position)[0])
