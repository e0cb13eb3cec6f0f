"""The quick way to read a block of rows: a decoder generated from the model's signature, straight into columns.

It takes less than the package's own row reader does and never something else: whatever is unusual (a date, an unknown member, a
wrong type) makes it give up, and the door reads the block again row by row, which also names what is wrong. Compiled at load.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from mill_contracts.tables import ColumnKind
from mill_pack import Columns, FeatureSpec, Signature

_WIDEST = 2000
_TYPES: dict[ColumnKind, Any] = {
    ColumnKind.NUMBER: float | None,
    ColumnKind.INTEGER: int | None,
    ColumnKind.BOOLEAN: bool | None,
    ColumnKind.STRING: str | None,
}


@dataclass(frozen=True, slots=True)
class Block:
    columns: Columns
    rows: int
    return_probabilities: bool


class BlockReader:
    """Immutable, shared by threads."""

    def __init__(self, signature: Signature) -> None:
        self._features = signature.features
        self._decoder = _decoder(signature.features)

    def read(self, body: bytes) -> Block | None:
        """None where the slow way must look, also at a body with no rows."""
        if self._decoder is None:
            return None
        try:
            request = self._decoder.decode(body)
            rows = [msgspec.structs.astuple(row) for row in request.inputs]
            if not rows:
                return None
            values = zip(*rows, strict=True)
            columns = {feature.name: _column(feature, of) for feature, of in zip(self._features, values, strict=True)}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
            return None
        return Block(columns, len(rows), request.return_probabilities)


def _decoder(features: tuple[FeatureSpec, ...]) -> "msgspec.json.Decoder[Any] | None":
    if len(features) > _WIDEST or not all(feature.kind in _TYPES for feature in features):
        return None
    fields = [(f"f{number}", _TYPES[feature.kind], _field(feature)) for number, feature in enumerate(features)]
    try:
        row = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a name with quotes or control characters
        return None
    block = msgspec.defstruct(
        "Block",
        [("inputs", list[row]), ("return_probabilities", bool, True), ("use_cache", bool, True)],
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(block)


def _field(feature: FeatureSpec) -> Any:
    """A feature that may be absent is missing then."""
    return msgspec.field(name=feature.name) if feature.required else msgspec.field(default=None, name=feature.name)


def _column(feature: FeatureSpec, values: tuple[Any, ...]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.array(values, dtype=object if feature.kind is ColumnKind.STRING else np.float64)
