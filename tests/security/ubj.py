"""Writes UBJSON as XGBoost does, so that a mutated document can be uploaded in both of its forms."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUnnecessaryIsInstance=false
# JSON documents of no fixed shape.

import struct
from typing import Any


def to_ubj(value: Any) -> bytes:
    """Objects, lists, texts, whole numbers, floats, truth values; lists of one kind of number are typed arrays."""
    if isinstance(value, dict):
        return b"{" + b"".join(_text(key) + to_ubj(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        return b"L" + struct.pack(">q", max(-(2**63), min(2**63 - 1, value)))
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    return b"Z" if value is None else b"S" + _text(str(value))


def _text(text: str) -> bytes:
    raw = text.encode()
    return b"L" + struct.pack(">q", len(raw)) + raw


def _list(items: list[Any]) -> bytes:
    size = b"L" + struct.pack(">q", len(items))
    small = all(isinstance(item, int) and abs(item) < 2**31 for item in items)
    if items and small:
        return b"[$l#" + size + struct.pack(f">{len(items)}i", *items)
    if items and all(isinstance(item, float) for item in items):
        return b"[$d#" + size + b"".join(_float(item) for item in items)
    return b"[#" + size + b"".join(to_ubj(item) for item in items)


def _float(value: float) -> bytes:
    try:
        return struct.pack(">f", value)
    except OverflowError:
        return struct.pack(">f", float("inf"))
