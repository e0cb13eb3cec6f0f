"""UBJSON from outside is read within bounds or refused; it never runs away."""

import struct

import numpy as np
import pytest
from mill_forest import InvalidForest
from mill_forest.ubjson import parse_ubjson


def _text(value: str) -> bytes:
    data = value.encode()
    return b"L" + struct.pack(">q", len(data)) + data


def test_every_kind_of_value_is_read() -> None:
    data = b"{" + _text("a") + b"[i\xffU\xffI\x01\x00l\x00\x01\x00\x00D" + struct.pack(">d", 0.5) + b"ZTF]"
    data += _text("s") + b"S" + _text("grün") + _text("c") + b"Cx}"
    assert parse_ubjson(data) == {"a": [-1, 255, 256, 65536, 0.5, None, True, False], "s": "grün", "c": "x"}


def test_a_typed_array_becomes_numpy() -> None:
    value = parse_ubjson(b"[$d#i\x02" + struct.pack(">2f", 1.5, -2))
    assert isinstance(value, np.ndarray)
    assert value.tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends early"),
        (b"{", "ends early"),
        (b"[" * 10_000, "too deep"),
        (b"[#L" + struct.pack(">q", 2**62), "length"),
        (b"[#L" + struct.pack(">q", -1), "length"),
        (b"[$d#i\x05", "ends early"),
        (b"[$D]", "no count"),
        (b"Si\x05ab", "ends early"),
        (b"Si\x01\xff", "UTF-8"),
        (b"N", "unknown"),
        (b"i\x01i", "after the end"),
        (b"{" + _text("a") + b"Z" + _text("a") + b"Z}", "twice"),
        (b"Sd\x00\x00\x00\x00", "length"),
    ],
)
def test_what_is_not_ubjson_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidForest, match=says):
        parse_ubjson(data)
