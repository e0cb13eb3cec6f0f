"""How many rows and bytes a Parquet file becomes when unpacked, read from its footer and the head of each page.

The footer may lie; what the reader allocates is what the page heads say. The footer is read here and not by pyarrow, whose
views on it end the process for some damaged files. Field numbers are those of Parquet's own Thrift definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from mill_serving.doors.tables.thrift import Struct, read_struct

_MAGIC = b"PAR1"
_DELTA_BYTE_ARRAY = 7
"""Each value repeats a part of the one before: a small page can become a thousand long strings."""
_MOST_PAGES = 100_000
_NUM_ROWS, _ROW_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_ROWS = 1, 3
_CHUNK_FILE, _CHUNK_METADATA = 1, 3
_PACKED, _DATA_AT, _DICTIONARY_AT = 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3
_ENCODINGS = ((5, 2), (8, 4))


@dataclass(frozen=True, slots=True)
class Extent:
    rows: int
    unpacked: int


def extent_of(body: bytes) -> Extent:
    """Raises `ValueError` for heads that contradict each other, or that hide how much they hold."""
    footer = _footer(body)
    groups = [_struct(group) for group in _list(footer, _ROW_GROUPS)]
    rows = sum(_number(group, _GROUP_ROWS) for group in groups)
    unpacked = pages = 0
    for group in groups:
        for chunk in _list(group, _GROUP_COLUMNS):
            for head in _pages(body, _struct(chunk)):
                unpacked += head[_PAGE_UNPACKED]
                pages += 1
                if pages > _MOST_PAGES:
                    raise ValueError("the file has too many pages")
    return Extent(max(rows, _number(footer, _NUM_ROWS)), unpacked)


def _footer(body: bytes) -> Struct:
    if len(body) < 12 or body[:4] != _MAGIC or body[-4:] != _MAGIC:
        raise ValueError("this is no Parquet file, or an encrypted one")
    length = int.from_bytes(body[-8:-4], "little")
    begin = len(body) - 8 - length
    if begin < 4:
        raise ValueError("the footer is longer than the file")
    return read_struct(body, begin)[0]


def _pages(body: bytes, chunk: Struct) -> Iterator[Struct]:
    if _CHUNK_FILE in chunk:
        raise ValueError("a column lies in another file")
    metadata = _struct(chunk.get(_CHUNK_METADATA))
    data, dictionary = _number(metadata, _DATA_AT), metadata.get(_DICTIONARY_AT)
    position = dictionary if isinstance(dictionary, int) and 0 < dictionary < data else data
    end = position + _number(metadata, _PACKED)
    if not 0 < position <= end <= len(body):
        raise ValueError("a column lies outside the file")
    while position < end:
        head, position = _page(body, position)
        position += head[_PAGE_PACKED]
        yield head
    if position != end:
        raise ValueError("the pages of a column do not fill it")


def _page(body: bytes, position: int) -> tuple[Struct, int]:
    """The head of a page, and where its bytes begin."""
    head, position = read_struct(body, position)
    for size in (_PAGE_UNPACKED, _PAGE_PACKED):
        _number(head, size)
    for field, encoding in _ENCODINGS:
        if field in head and _struct(head[field]).get(encoding) == _DELTA_BYTE_ARRAY:
            raise ValueError("the encoding DELTA_BYTE_ARRAY is not read; write plain or dictionary pages")
    return head, position


def _number(struct: Struct, field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError("a size is absent or negative")
    return value


def _list(struct: Struct, field: int) -> list[Any]:
    value = struct.get(field)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _struct(value: Any) -> Struct:
    if not isinstance(value, dict):
        raise ValueError("the footer is damaged")  # noqa: TRY004 - the bytes are wrong, not the call
    return cast("Struct", value)
