"""About 150 hostile tables, made when they are needed: bombs, broken containers, absurd shapes. Used by the attacks A17 to A19."""

# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import bz2
import gzip
import io
import json
import lzma
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

GOOD = b"a,b,label\n" + b"".join(b"%d,%d.5,%s\n" % (n, n, b"xy"[n % 2 : n % 2 + 1]) for n in range(200))
MIB = 2**20


@dataclass(frozen=True)
class BadFile:
    """`write` fills the file. `harmless`: strange, but a table; it may be taken as well as refused."""

    title: str
    name: str
    write: Callable[[Path], None]
    harmless: bool = False


def given(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def _made(make: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(make())

    return write


def corpus(seed: int) -> list[BadFile]:
    """The same files for the same seed."""
    return [*_bombs(), *_shapes(), *_containers(), *_parquet(), *_arrow(), *_json(), *_texts(), *_mutants(seed)]


def _zeros(size: int, opener: Callable[..., Any]) -> Callable[[Path], None]:
    """`size` bytes of one long cell, packed: a thousand to one."""

    def write(path: Path) -> None:
        with opener(path, "wb") as target:
            target.write(b"a,label\n")
            for _ in range(size // MIB):
                target.write(b"0" * MIB)
            target.write(b",x\n1,y\n")

    return write


def _rows(count: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as target:
            target.write(b"a,label\n")
            for _ in range(count // 100_000):
                target.write(b"1,x\n" * 99_999 + b"1\n")  # every block ends ragged

    return write


def _bombs() -> Iterator[BadFile]:
    yield BadFile("one cell of 1 GiB, gzipped", "t.csv.gz", _zeros(1024 * MIB, gzip.open))
    yield BadFile("one cell of 64 MiB", "t.csv", _zeros(64 * MIB, open))
    yield BadFile("many rows, each block ragged", "t.csv.gz", _rows(5_000_000))
    nested = GOOD
    for depth in range(1, 7):
        nested = gzip.compress(nested)
        if depth > 1:
            yield BadFile(f"gzip in gzip, {depth} deep", "t.csv.gz", given(nested))
    bomb = gzip.compress(gzip.compress(b"a,b\n" + b"0" * 64 * MIB))
    yield BadFile("gzip bomb in gzip", "t.csv.gz", given(bomb))
    yield BadFile("xz bomb", "t.csv.xz", _made(lambda: lzma.compress(b"0" * 32 * MIB)))
    yield BadFile("bzip2 bomb", "t.csv.bz2", _made(lambda: bz2.compress(b"0" * 32 * MIB)))
    yield BadFile("zlib stream", "t.csv", given(zlib.compress(GOOD)))
    for name in ("t.zip", "t.xlsx", "t.csv"):
        yield BadFile(f"zip bomb named {name}", name, _made(_zip_bomb))
    yield BadFile(
        "gzip of a thousand members, the last cut",
        "t.csv.gz",
        given(gzip.compress(b"a,b\n1,2\n") * 1000 + b"\x1f\x8b\x08"),
    )
    yield BadFile("gzip with a wrong length", "t.csv.gz", given(gzip.compress(GOOD)[:-4] + b"\xff\xff\xff\xff"))
    yield BadFile(
        "gzip with a wrong checksum",
        "t.csv.gz",
        given(gzip.compress(GOOD)[:-8] + b"\0\0\0\0" + gzip.compress(GOOD)[-4:]),
    )
    yield BadFile(
        "gzip with a header that never ends", "t.csv.gz", given(b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"n" * MIB)
    )


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"<row>" * 4_000_000)
        archive.writestr("../../escape.csv", b"a,b\n1,2\n")
    return out.getvalue()


def _shapes() -> Iterator[BadFile]:
    for columns in (2_001, 10_000, 1_000_000):
        yield BadFile(
            f"{columns} columns",
            "t.csv",
            _made(lambda n=columns: b",".join(b"c%d" % i for i in range(n)) + b"\n" + b"1," * (n - 1) + b"1\n"),
        )
    yield BadFile("a million empty names", "t.csv", given(b"," * 1_000_000 + b"\n" + b"1," * 1_000_000 + b"\n"))
    yield BadFile("one name of 16 MiB", "t.csv", given(b"a" * 16 * MIB + b",label\n1,x\n"))
    yield BadFile("a quote that never closes", "t.csv", given(b'a,b\n1,"' + b"x\n" * 4_000_000))
    yield BadFile("only quotes", "t.csv", given(b'"' * 8 * MIB))
    yield BadFile("only delimiters", "t.csv", given(b",;\t|" * 2 * MIB))
    yield BadFile("only line ends", "t.csv", given(b"\r\n" * 4 * MIB))
    yield BadFile("only NUL", "t.csv", given(b"\0" * 8 * MIB))
    yield BadFile("no line end at all", "t.csv", given(b"1" * 16 * MIB))
    yield BadFile("old Mac line ends", "t.csv", given(GOOD.replace(b"\n", b"\r")), harmless=True)
    yield BadFile("a name twice in other case", "t.csv", given(b"a,A,label\n1,2,x\n3,4,y\n"), harmless=True)
    for kind, cell in {
        "digits": b"9" * 100_000,
        "exponent": b"1e" + b"9" * 1000,
        "minus": b"-" * 1000,
        "braces": b"{" * 5_000,
    }.items():
        yield BadFile(f"a cell of {kind}", "t.csv", given(b"a,label\n" + cell + b",x\n2,y\n3,x\n"), harmless=True)
    for formula in (b"=cmd|' /C calc'!A0", b"@SUM(1+1)", b"+1+1", b"-2+3", b'"=HYPERLINK(""http://x"")"'):
        yield BadFile(
            f"formula {formula[:8]!r}", "t.csv", given(b"a,label\n" + formula + b",x\n2,y\n3,x\n"), harmless=True
        )


def _containers() -> Iterator[BadFile]:
    magic = {
        "PNG": b"\x89PNG\r\n\x1a\n",
        "PDF": b"%PDF-1.7\n",
        "ELF": b"\x7fELF\x02\x01\x01",
        "PE": b"MZ\x90\x00",
        "SQLite": b"SQLite format 3\0",
        "DuckDB": b"\0" * 8 + b"DUCK",
        "ORC": b"ORC",
        "Avro": b"Obj\x01",
        "HDF5": b"\x89HDF\r\n\x1a\n",
        "numpy": b"\x93NUMPY\x01\0",
        "zstd": b"\x28\xb5\x2f\xfd",
        "7z": b"7z\xbc\xaf\x27\x1c",
        "rar": b"Rar!\x1a\x07",
        "Feather 1": b"FEA1",
        "class": b"\xca\xfe\xba\xbe",
    }
    for kind, head in magic.items():
        yield BadFile(f"{kind} named .csv", "t.csv", given(head + bytes(range(256)) * 64))
    for protocol in range(6):
        yield BadFile(
            f"pickle, protocol {protocol}",
            "t.csv",
            given(pickle.dumps({"a": [1, 2, 3], "b": b"\0\xff" * 50}, protocol)),
        )
    yield BadFile("a shell script", "t.csv", given(b"#!/bin/sh\ntouch /tmp/executed\n"), harmless=True)
    yield BadFile(
        "XML with entities",
        "t.csv",
        given(b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><x>&b;</x>\n'),
        harmless=True,
    )


def _parquet() -> Iterator[BadFile]:
    plain = _as_parquet({"a": [1, 2, 3] * 100, "label": ["x", "y", "z"] * 100})
    for cut in (4, 8, 20, len(plain) // 2, len(plain) - 12, len(plain) - 1):
        yield BadFile(f"Parquet of {cut} bytes", "t.parquet", given(plain[:cut]))
    for length in (0, 1, 2**31 - 1, 2**32 - 1, len(plain) * 2):
        yield BadFile(
            f"Parquet whose footer claims {length} bytes",
            "t.parquet",
            given(plain[:-8] + struct.pack("<I", length) + b"PAR1"),
        )
    yield BadFile("Parquet, encrypted footer", "t.parquet", given(plain[:-4] + b"PARE"))
    yield BadFile("Parquet of magic alone", "t.parquet", given(b"PAR1" * 1000))
    yield BadFile("Parquet bomb of one value", "t.parquet", _made(_parquet_bomb))
    yield BadFile("Parquet with an unknown extension type", "t.parquet", _made(_parquet_extension), harmless=True)
    yield BadFile("Parquet nested 60 deep", "t.parquet", _made(lambda: _nested_parquet(60)))
    yield BadFile(
        "Parquet of 3,000 columns", "t.parquet", _made(lambda: _as_parquet({f"c{n}": [1] for n in range(3_000)}))
    )
    yield BadFile(
        "Parquet with one name twice",
        "t.parquet",
        _made(lambda: _parquet_of(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))),
    )
    yield BadFile(
        "Parquet of maps",
        "t.parquet",
        _made(lambda: _parquet_of(pa.table({"a": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}))),
        harmless=True,
    )
    yield BadFile(
        "Parquet of bytes",
        "t.parquet",
        _made(lambda: _parquet_of(pa.table({"a": pa.array([b"\x80\x04."] * 3), "b": [1, 2, 3]}))),
    )
    chance = random.Random(7)  # noqa: S311 - repeatable, not secret
    for number in range(20):
        damaged = bytearray(plain)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(plain) - 300, len(plain) - 8)] = chance.randrange(256)
        yield BadFile(f"Parquet with a damaged footer {number}", "t.parquet", given(bytes(damaged)), harmless=True)


def _parquet_of(table: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _as_parquet(columns: dict[str, Any]) -> bytes:
    return _parquet_of(pa.table(columns))


def _parquet_bomb() -> bytes:
    """Kilobytes that unpack to gibibytes: one text of a mebibyte, said two thousand times by a dictionary."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["0" * MIB]))
    out = io.BytesIO()
    pq.write_table(pa.table({"a": repeated, "label": ["x"] * 2_000}), out, compression="zstd")
    return out.getvalue()


def _parquet_extension() -> bytes:
    field = pa.field(
        "a",
        pa.int64(),
        metadata={"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(print)},
    )
    return _parquet_of(
        pa.table([pa.array([1, 2]), pa.array(["x", "y"])], schema=pa.schema([field, pa.field("label", pa.string())]))
    )


def _nested_parquet(depth: int) -> bytes:
    kind: Any = pa.int64()
    value: Any = 1
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    return _parquet_of(pa.table({"a": pa.array([value], kind)}))


def _arrow() -> Iterator[BadFile]:
    out = io.BytesIO()
    table = pa.table({"a": [1, 2, 3], "label": ["x", "y", "z"]})
    with pyarrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    stream = out.getvalue()
    yield BadFile("an Arrow stream", "t.arrow", given(stream))
    yield BadFile("an Arrow stream named .parquet", "t.parquet", given(stream))
    yield BadFile(
        "an Arrow stream that claims 2 GiB", "t.arrow", given(stream[:4] + struct.pack("<I", 2**31 - 1) + stream[8:])
    )
    yield BadFile("half an Arrow stream", "t.arrow", given(stream[: len(stream) // 2]))


def _json() -> Iterator[BadFile]:
    for depth in (100, 1_000, 100_000, 5_000_000):
        yield BadFile(f"JSON nested {depth} deep", "t.json", given(b"[" * depth + b"]" * depth))
        yield BadFile(
            f"JSON row nested {depth} deep",
            "t.ndjson",
            given(b'{"a": ' + b"[" * depth + b"]" * depth + b"}\n"),
            harmless=depth <= 100,  # a list in a cell is kept as text
        )
    yield BadFile(
        "JSON of 100,000 keys", "t.json", _made(lambda: json.dumps([{f"k{n}": n for n in range(100_000)}]).encode())
    )
    yield BadFile(
        "NDJSON, other keys in every row",
        "t.ndjson",
        _made(lambda: b"".join(b'{"k%d": 1}\n' % n for n in range(50_000))),
    )
    yield BadFile("JSON, one text of 64 MiB", "t.json", given(b'[{"a": "' + b"x" * 64 * MIB + b'"}]'))
    for title, text in {
        "a number of 100,000 digits": b'[{"a": ' + b"9" * 100_000 + b"}]",
        "NaN": b'[{"a": NaN}]',
        "Infinity": b'[{"a": Infinity}]',
        "a key twice": b'[{"a": 1, "a": 2}]',
        "a lone surrogate": b'[{"a": "\\ud800"}]',
        "NUL in a key": b'[{"a\\u0000b": 1}, {"a\\u0000b": 2}]',
        "proto": b'[{"__proto__": {"a": 1}, "a": 1}]',
        "scalars": b"[1, 2, 3]",
        "null": b"null",
        "a comment": b'[{"a": 1} /* x */]',
        "rest behind the array": b'[{"a": 1}] [{"a": 2}]',
    }.items():
        yield BadFile(f"JSON: {title}", "t.json", given(text), harmless=True)


def _texts() -> Iterator[BadFile]:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-7", "cp500", "shift_jis"):
        yield BadFile(
            f"text as {encoding}",
            "t.csv",
            given("naïve,label\nÀé,x\nöü,y\n".encode(encoding, "replace")),
            harmless=True,
        )
    for title, bad in {
        "overlong slash": b"\xc0\xaf",
        "surrogate": b"\xed\xa0\x80",
        "beyond Unicode": b"\xf7\xbf\xbf\xbf",
        "lone": b"\x80",
        "cut": b"\xe2\x82",
    }.items():
        yield BadFile(f"UTF-8: {title}", "t.csv", given(b"a,label\n" + bad + b",x\n2,y\n"))
    yield BadFile("escape sequences", "t.csv", given(b"a,label\n\x1b]0;title\x07\x1b[2J,x\n2,y\n3,x\n"), harmless=True)
    yield BadFile("direction marks", "t.csv", given("a\u202eb,label\n\u2066x\u2069,x\n2,y\n".encode()), harmless=True)
    yield BadFile("a mark of byte order twice", "t.csv", given(b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD), harmless=True)


def _mutants(seed: int) -> Iterator[BadFile]:
    """Good files with some bytes turned: may still be tables, may not."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    sources = {
        "t.csv": GOOD,
        "t.csv.gz": gzip.compress(GOOD),
        "t.json": b'[{"a": 1, "label": "x"}, {"a": 2, "label": "y"}]' * 1,
    }
    for number in range(20):
        name, data = chance.choice(list(sources.items()))
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        yield BadFile(f"mutant {number} of {name}", name, given(bytes(damaged)), harmless=True)
