"""Every parser of outside bytes: whatever comes in, it understands it or refuses it in our words; nothing else is raised."""

# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mill_api.db.pages import Position
from mill_contracts.wire import messages
from mill_kit.problems import Problem
from mill_pack import open_package
from mill_pack.expressions import compile_expression
from mill_serving.doors.tables import arrow, ndjson
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2.framing import read_request
from mill_serving.snapshot.document import read_snapshot
from pydantic import ValidationError

from tests.security.evidence import ROOT, sized

CAPS = Caps(1_000, 2**20)
RUNS = settings(
    max_examples=sized(150, 20_000),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    database=None,
)
TABLE = pa.table({"age": [40.0, 41.0], "city": ["Oslo", None]})


def _stream() -> bytes:
    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out)
    return out.getvalue()


V2 = json.dumps({"id": "1", "inputs": [{"name": "age", "datatype": "FP64", "shape": [1, 1], "data": [40.0]}]}).encode()
SNAPSHOT = json.dumps(
    {"key_id": "x", "payload": json.dumps({"number": 1, "issued_at": "2026-01-01T00:00:00Z"}), "signature": "eA=="}
).encode()
REPORT = b'{"kind": "progress", "fraction": 0.5}'
CURSOR = b"MjAyNi0wMS0wMVQwMDowMDowMCswMDowMHwwMTk3YTAwMDAwMDA3MDAwODAwMDAwMDAwMDAwMDAwMA"
READERS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "an Arrow stream": (_stream(), lambda data: arrow.read_stream(data, CAPS)),
    "Parquet": (_parquet(), lambda data: arrow.read_parquet(data, CAPS)),
    "NDJSON": (b'{"age": 1}\n{"age": 2}\n', lambda data: ndjson.read(data, CAPS)),
    "a V2 request": (V2, lambda data: read_request(data, b"")),
    "a V2 request with tensors as bytes": (V2 + b"\0" * 64, lambda data: read_request(data, b"%d" % len(V2))),
    "a snapshot": (SNAPSHOT, lambda data: read_snapshot(data, {})),
    "the trainer's report": (REPORT, lambda data: messages.validate_json(data)),
    "a page's cursor": (CURSOR, lambda data: Position.parse(data.decode("latin-1"))),
    "an expression": (b"log(a + 1) * max(b, 2)", lambda data: compile_expression(data.decode("latin-1"), ["a", "b"])),
}
REFUSALS = (Problem, ValidationError)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """A good input with bytes turned, taken out, doubled or cut off; sometimes noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        what = draw(st.integers(0, 4))
        if what == 0 and data:
            data[place] = draw(st.integers(0, 255))
        elif what == 1:
            del data[place : place + draw(st.integers(1, 8))]
        elif what == 2:
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif what == 3:
            data[place:place] = data[place : place + 16]
        elif len(data) >= place + 4:
            data[place : place + 4] = draw(
                st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0"])
            )
    return bytes(data)


@pytest.mark.parametrize("reader", READERS)
def test_no_bytes_make_a_reader_fail_in_another_way_than_by_refusing(reader: str) -> None:
    good, read = READERS[reader]
    refused = 0

    @RUNS
    @given(damaged(good))
    def attempt(data: bytes) -> None:
        nonlocal refused
        try:
            read(data)
        except REFUSALS:
            refused += 1

    attempt()
    assert refused, "the damage was never noticed, so nothing was tried"


@pytest.mark.parametrize("reader", ["a V2 request", "NDJSON", "the trainer's report", "a snapshot"])
@pytest.mark.parametrize("depth", [500, 50_000, 1_000_000])
def test_depth_is_refused_by_every_reader_of_json(reader: str, depth: int) -> None:
    for data in (
        b"[" * depth,
        b"[" * depth + b"]" * depth,
        b'{"inputs":' * (depth // 10),
        b'{"age": ' + b"[" * depth + b"]" * depth + b"}\n",
    ):
        try:
            READERS[reader][1](data)
        except REFUSALS:
            continue


def test_a_damaged_package_is_refused(tmp_path: Path) -> None:
    good = (ROOT / "shared-models" / "demo_model_1.mill").read_bytes()
    opened = 0

    @settings(parent=RUNS, max_examples=sized(40, 3_000))
    @given(damaged(good))
    def attempt(data: bytes) -> None:
        nonlocal opened
        path = tmp_path / "model.mill"
        path.write_bytes(data)
        try:
            open_package(path)
        except REFUSALS:
            return
        opened += int(data != good)

    attempt()
    assert opened == 0, "every byte of a package stands under a hash"
