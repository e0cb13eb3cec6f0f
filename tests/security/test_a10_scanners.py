"""A10: what slips past scanners of pickles. There is no scanner here: what is not positively an accepted format is refused."""

import pickle
import struct
import zlib

import pytest
from mill_contracts.adoption import ModelFramework

from tests.security.payloads import pickled, zipped
from tests.security.rooms import Rooms


def odd_archives(code: bytes) -> dict[str, bytes]:
    """Archives that scanners refuse to look into and loaders read all the same."""
    plain = zipped({"data.pkl": code, "schema.json": b"{}"})
    bad_crc = plain.replace(struct.pack("<I", zlib.crc32(code)), b"\1\2\3\4")
    encrypted = bytearray(plain)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + at] |= 1
    return {
        "a wrong CRC": bad_crc,
        "a flag of encryption": bytes(encrypted),
        "an odd ending": zipped({"data.xyz": code, "schema.json": b"{}"}),
        "a nested archive": zipped({"1.npy": zipped({"data.pkl": code}), "schema.json": b"{}"}),
        "a directory that lies": plain.replace(b"data.pkl", b"data.txt", 1),
        "bytes behind the end": plain + code,
    }


def odd_pickles(code: bytes) -> dict[str, bytes]:
    nested = pickle.dumps({"inner": code}, 4)
    return {
        "a pickle in a pickle": nested,
        "a frame that lies": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f" + code[2:],
        "an unknown protocol": b"\x80\x0f" + code[2:],
        "no end": code[:-1],
        "something before the first opcode": b"\n" + code,
        "modules on nobody's list": b"\x80\x02cpip._internal\nmain\n(tR.",
        "several pickles": code + code,
    }


@pytest.mark.parametrize("framework", [ModelFramework.SKLEARN, ModelFramework.ONNX])
def test_nothing_that_hides_from_scanners_is_accepted(rooms: Rooms, framework: ModelFramework) -> None:
    for protocol in range(6):
        code = pickled(rooms.canary, protocol)
        for data in {**odd_archives(code), **odd_pickles(code)}.values():
            rooms.refusal(framework, data)


def test_everything_that_is_no_model_is_refused_with_the_accepted_formats_named(rooms: Rooms) -> None:
    for data in (
        b"",
        b"\0" * 100,
        b"hello",
        b"<xml/>",
        b"GGUF" + b"\0" * 64,
        b"\x89HDF\r\n\x1a\n",
        b"import os\n",
        b"[1, 2]",
    ):
        assert rooms.refusal(ModelFramework.ONNX, data)["slug"] == "model-file-rejected"
    assert "skops" in rooms.refusal(ModelFramework.ONNX, b"hello")["detail"]
