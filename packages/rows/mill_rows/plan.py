"""What a reader is told of its model: `mill_pack` writes it down here, the native code checks and compiles it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mill_rows._native import Reader

NativeTable = tuple[bool, int, int, float, float, tuple[tuple[bytes, float], ...]]
NativeFeature = tuple[bytes, int, bool, bool, int, tuple[tuple[int, float, float, float], ...], NativeTable | None]


class Kind(IntEnum):
    """How a JSON value is read. Numbers are finite; a DATE is text alone, a TIMESTAMP text or epoch milliseconds."""

    NUMBER = 0
    INTEGER = 1
    BOOLEAN = 2
    TEXT = 3
    DATE = 4
    TIMESTAMP = 5


@dataclass(frozen=True, slots=True)
class Write:
    """One matrix column: `((value, or fill where missing) - shift) / scale`."""

    column: int
    fill: float
    shift: float
    scale: float


@dataclass(frozen=True, slots=True)
class Categories:
    """A text's codes. One-hot: offsets from `column`, and `width` or more sets none. Else the value of `column` itself."""

    one_hot: bool
    column: int
    width: int
    missing: float
    unseen: float
    codes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Feature:
    """`raw`: the column of the raw block that also holds its number, NaN where missing; -1 for none."""

    name: str
    kind: Kind
    nullable: bool
    required: bool
    writes: Sequence[Write] = ()
    raw: int = -1
    categories: Categories | None = None


def reader_of(width: int, raw_width: int, features: Sequence[Feature]) -> Reader:
    """Raises `ValueError` for what does not fit together, `UnicodeError` for text that is no UTF-8."""
    return Reader(width, raw_width, tuple(map(_described, features)))


def _described(feature: Feature) -> NativeFeature:
    writes = tuple((write.column, write.fill, write.shift, write.scale) for write in feature.writes)
    table = _table(feature.categories) if feature.categories is not None else None
    return feature.name.encode(), feature.kind, feature.nullable, feature.required, feature.raw, writes, table


def _table(found: Categories) -> NativeTable:
    codes = tuple((text.encode(), code) for text, code in found.codes.items())
    return found.one_hot, found.column, found.width, found.missing, found.unseen, codes
