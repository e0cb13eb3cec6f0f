"""The `.forest` file: a small JSON header, then raw little-endian arrays that can be mapped without a copy.

Layout: magic (8 bytes), format version and header length (uint32 each), the header, then each array at a multiple of
64 bytes, in the order of `model.ARRAYS`. Everything is checked on the way in, never unpickled.
"""

import json
import mmap as _mmap
import os
import struct
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from mill_forest.errors import InvalidForest
from mill_forest.model import (
    ARRAYS,
    Aggregation,
    CategoryRule,
    Compare,
    Forest,
    Library,
    Link,
    Task,
    arrays_of,
)
from mill_forest.validate import validate

MAGIC: Final = b"MILLTREE"
VERSION: Final = 2
_SINCE: Final = {"cover": 2}
"""The version each array came with, where it is not the first; files of every version ever released can be read."""
MAX_HEADER: Final = 65_536
_ALIGN: Final = 64
_PREFIX: Final = struct.Struct("<8sII")
_WORDS: Final[dict[str, type[StrEnum]]] = {
    "library": Library,
    "task": Task,
    "link": Link,
    "compare": Compare,
    "aggregation": Aggregation,
    "category_rule": CategoryRule,
}
_HEADER_KEYS: Final = {*_WORDS, "n_features", "n_groups", "link_scale", "arrays"}


def to_bytes(forest: Forest) -> bytes:
    """The forest as one `.forest` file; the same forest gives the same bytes."""
    arrays = arrays_of(forest)
    header: dict[str, object] = {name: str(getattr(forest, name)) for name in _WORDS}
    header |= {"n_features": forest.n_features, "n_groups": forest.n_groups, "link_scale": forest.link_scale}
    header["arrays"] = {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}
    text = json.dumps(header, sort_keys=True).encode()
    parts = [_PREFIX.pack(MAGIC, VERSION, len(text)), text]
    length = _PREFIX.size + len(text)
    for array in arrays.values():
        parts += [bytes(-length % _ALIGN), array.tobytes()]
        length += -length % _ALIGN + array.nbytes
    return b"".join(parts)


def from_bytes(data: bytes | memoryview | _mmap.mmap) -> Forest:
    """Read a `.forest` file without copying it; raises InvalidForest. `data` must not change afterwards."""
    view = memoryview(data).cast("B")
    version, header, offset = _read_header(view)
    words = {name: _word(header, name, kind) for name, kind in _WORDS.items()}
    scale = header["link_scale"]
    if not isinstance(scale, int | float):
        raise InvalidForest("link_scale is not a number")
    numbers = {name: _whole(header[name], name) for name in ("n_features", "n_groups")}
    arrays, end = _read_arrays(view, version, header, offset)
    if end != len(view):
        raise InvalidForest(f"the file has {len(view)} bytes, its arrays end at {end}")
    fields = cast("dict[str, Any]", {**words, **numbers, **arrays, "link_scale": float(scale)})
    return validate(Forest(**fields))


def save(forest: Forest, path: str | os.PathLike[str]) -> None:
    """Write a `.forest` file; a reader sees the whole file or none."""
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.write_bytes(to_bytes(forest))
    partial.replace(target)


def load(path: str | os.PathLike[str], *, mmap: bool = True) -> Forest:
    """Read a `.forest` file, mapped so that processes share it, or into memory. The file must not change."""
    with Path(path).open("rb") as file:
        if not mmap:
            return from_bytes(file.read())
        if os.fstat(file.fileno()).st_size == 0:
            raise InvalidForest("the file is empty")
        return from_bytes(_mmap.mmap(file.fileno(), 0, access=_mmap.ACCESS_READ))


def _read_header(view: memoryview) -> tuple[int, dict[str, object], int]:
    if len(view) < _PREFIX.size:
        raise InvalidForest("the file is too short for a forest")
    magic, version, length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        raise InvalidForest("this is not a .forest file")
    if not 1 <= version <= VERSION:
        raise InvalidForest(f"format version {version}; this release reads versions 1 to {VERSION}")
    if length > MAX_HEADER or _PREFIX.size + length > len(view):
        raise InvalidForest(f"a header of {length} bytes")
    try:
        header: object = json.loads(bytes(view[_PREFIX.size : _PREFIX.size + length]))
    except (ValueError, RecursionError) as error:
        raise InvalidForest(f"the header is not JSON: {error}") from error
    if not isinstance(header, dict) or set(cast("dict[object, object]", header)) != _HEADER_KEYS:
        raise InvalidForest("the header's keys are not those of a forest")
    return version, cast("dict[str, object]", header), _PREFIX.size + length


def _read_arrays(
    view: memoryview, version: int, header: Mapping[str, object], offset: int
) -> tuple[dict[str, NDArray[np.generic]], int]:
    described = header["arrays"]
    expected = {name: dtypes for name, dtypes in ARRAYS.items() if _SINCE.get(name, 1) <= version}
    if not isinstance(described, dict) or set(cast("dict[object, object]", described)) != set(expected):
        raise InvalidForest("the header's arrays are not those of a forest")
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, dtypes in expected.items():
        dtype, shape = _described(cast("dict[str, object]", described)[name], name, dtypes)
        offset += -offset % _ALIGN
        count = int(np.prod(shape, dtype=object))
        if offset + count * dtype.itemsize > len(view):
            raise InvalidForest(f"the file ends inside {name}")
        arrays[name] = np.frombuffer(view, dtype, count, offset if count else 0).reshape(shape)
        offset += count * dtype.itemsize
    return arrays, offset


def _described(entry: object, name: str, dtypes: tuple[str, ...]) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    dimensions = 2 if name == "leaf_values" else 1
    if not isinstance(entry, list) or len(cast("list[object]", entry)) != dimensions + 1:
        raise InvalidForest(f"the description of {name} is malformed")
    dtype, *shape = cast("list[object]", entry)
    if not isinstance(dtype, str) or dtype not in dtypes:
        raise InvalidForest(f"{name} has dtype {dtype!r}")
    return np.dtype(dtype), tuple(_whole(size, f"the size of {name}") for size in shape)


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise InvalidForest(f"{what} is {str(value)[:40]}, not a whole number in range")
    return value


def _word(header: Mapping[str, object], name: str, kind: type[StrEnum]) -> StrEnum:
    try:
        return kind(cast("str", header[name]))
    except ValueError as error:
        raise InvalidForest(f"{name} is {str(header[name])[:40]!r}") from error
