"""The quick way to read a scoring request: the rows of `dataframe_split`, `dataframe_records`, `instances` or `inputs` go from the
body's bytes to the engine's matrix. `mlflow` is the caller; None leaves the body to its general way.

The array is found by its place: the first member of the document, or `data` of a first member `dataframe_split`. What stands around
it is decoded with a number in its place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from mill_pack import Encoded, Package

_FARTHEST = 1 << 17
_BLANK = rb"[ \t\n\r]*"
_FIRST = re.compile(
    _BLANK
    + rb"\{"
    + _BLANK
    + rb'("dataframe_records"|"instances"|"inputs")'
    + _BLANK
    + rb":"
    + _BLANK
    + rb"(\[)"
    + _BLANK
)
_SPLIT = re.compile(
    _BLANK + rb'\{' + _BLANK + rb'"dataframe_split"' + _BLANK + rb":" + _BLANK + rb"\{[^{}\\]*?"
    rb'("data")' + _BLANK + rb":" + _BLANK + rb"(\[)" + _BLANK
)  # fmt: skip
_COLUMNS = re.compile(rb'"columns"' + _BLANK + rb":" + _BLANK + rb"(\[[^\[\]\\]*\])")
_RECORDS = b'"dataframe_records"'
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_names = msgspec.json.Decoder(list[str]).decode


@dataclass(frozen=True, slots=True)
class Block:
    """`document`: the request without its rows."""

    encoded: Encoded
    document: dict[str, Any]


def read_block(package: Package, body: bytes, most_rows: int) -> Block | None:
    head = _FIRST.match(body, 0, _FARTHEST) or _SPLIT.match(body, 0, _FARTHEST)
    if head is None:
        return None
    try:
        found = _rows(package, body, head, most_rows)
        if found is None:
            return None
        end, encoded = found
        if head[1] in body[end:] or b"\\" in body[end:]:
            return None  # perhaps named twice
        document = _decode(body[: head.start(2)] + b"0" + body[end:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    inner: Any = document.get("dataframe_split", document)
    is_there = isinstance(inner, dict) and cast("dict[str, Any]", inner).get(head[1][1:-1].decode()) == 0
    return Block(encoded, document) if is_there else None


def _rows(package: Package, body: bytes, head: re.Match[bytes], most_rows: int) -> tuple[int, Encoded] | None:
    is_split, start = head[1] == b'"data"', head.start(2) + 1
    if not is_split and body[head.end() : head.end() + 1] == b"{":
        return package.read_objects(body, start, most_rows)
    names = _split_names(head[0]) if is_split else [feature.name for feature in package.signature.features]
    if names is None or head[1] == _RECORDS:
        return None
    return package.read_lists(body, start, most_rows, names)


def _split_names(head: bytes) -> Sequence[str] | None:
    found = _COLUMNS.findall(head)
    return _names(found[0]) if len(found) == 1 else None
