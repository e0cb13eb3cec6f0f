"""How many rows and bytes a Parquet file becomes when unpacked, read from its footer and the head of each page.

The footer may lie; what the reader allocates is what the page heads say. The footer is read here and not by pyarrow, whose
views on it end the process for some damaged files. Field numbers are those of Parquet's own Thrift definition.

The work is bounded by the length of the file: no byte belongs to two columns, and a head holds few values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from mill_serving.doors.tables.thrift import Struct, read_struct

_MAGIC = b"PAR1"
_DELTA_BYTE_ARRAY = 7
"""Each value repeats a part of the one before: a small page can become a thousand long strings."""
_MOST_PAGES = 50_000
_LONGEST_HEAD = 64 * 2**10
"""Four texts of statistics of up to 4 KiB are what writers put into the head of a page at most."""
_MOST_HEAD_VALUES = 64
"""Parquet defines no list in the head of a page, and about thirty values."""
_MOST_FOOTER_VALUES = 500_000
"""A column of a row group takes about forty-five."""
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


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Where the pages of one column of a row group lie, and how many there may be."""

    begin: int
    end: int
    most_pages: int


def extent_of(body: bytes) -> Extent:
    """Raises `ValueError` for heads that contradict each other, or that hide how much they hold."""
    footer, begin = _footer(body)
    groups = [_struct(group) for group in _list(footer, _ROW_GROUPS)]
    rows = sum(_number(group, _GROUP_ROWS) for group in groups)
    unpacked = pages = 0
    for chunk in _chunks(groups, begin):
        for head in _pages(body, chunk):
            unpacked += head[_PAGE_UNPACKED]
            pages += 1
            if pages > _MOST_PAGES:
                raise ValueError("the file has too many pages")
    return Extent(max(rows, _number(footer, _NUM_ROWS)), unpacked)


def _footer(body: bytes) -> tuple[Struct, int]:
    """The footer, and where it begins."""
    if len(body) < 12 or body[:4] != _MAGIC or body[-4:] != _MAGIC:
        raise ValueError("this is no Parquet file, or an encrypted one")
    end = len(body) - 8
    begin = end - int.from_bytes(body[-8:-4], "little")
    if begin < 4:
        raise ValueError("the footer is longer than the file")
    return read_struct(body, begin, end, _MOST_FOOTER_VALUES)[0], begin


def _chunks(groups: list[Struct], end: int) -> list[_Chunk]:
    """All columns of all row groups, in the order of the file."""
    chunks = [
        _chunk(_struct(chunk), _number(group, _GROUP_ROWS), end)
        for group in groups
        for chunk in _list(group, _GROUP_COLUMNS)
    ]
    chunks.sort(key=lambda chunk: chunk.begin)
    if any(after.begin < before.end for before, after in pairwise(chunks)):
        raise ValueError("two columns lie in the same place")
    return chunks


def _chunk(chunk: Struct, rows: int, end_of_data: int) -> _Chunk:
    if _CHUNK_FILE in chunk:
        raise ValueError("a column lies in another file")
    metadata = _struct(chunk.get(_CHUNK_METADATA))
    data, dictionary = _number(metadata, _DATA_AT), metadata.get(_DICTIONARY_AT)
    begin = dictionary if isinstance(dictionary, int) and 0 < dictionary < data else data
    end = begin + _number(metadata, _PACKED)
    if not 0 < begin <= end <= end_of_data:
        raise ValueError("a column lies outside the file")
    dictionary_pages = 1
    return _Chunk(begin, end, max(rows, 1) + dictionary_pages)


def _pages(body: bytes, chunk: _Chunk) -> Iterator[Struct]:
    position = chunk.begin
    pages = 0
    while position < chunk.end:
        head, position = _page(body, position, chunk.end)
        position += head[_PAGE_PACKED]
        pages += 1
        if pages > chunk.most_pages:
            raise ValueError("a column has more pages than rows")
        yield head
    if position != chunk.end:
        raise ValueError("the pages of a column do not fill it")


def _page(body: bytes, position: int, end: int) -> tuple[Struct, int]:
    """The head of a page, and where its bytes begin."""
    head, position = read_struct(body, position, min(end, position + _LONGEST_HEAD), _MOST_HEAD_VALUES)
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
