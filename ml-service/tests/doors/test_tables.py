"""Tables that lie, bombs and odd files: refused in words, soon, and the service goes on."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow is untyped.

import contextlib
import io
import random
from typing import Any

import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
import pytest
from mill_kit.problems import Problem
from mill_serving.doors.tables import arrow
from mill_serving.doors.tables.forms import Caps
from mill_serving.errors import BatchTooLarge, BodyTooLarge, InvalidRequest

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
CAPS = Caps(rows=10_000, body_bytes=1 << 20)


def stream(table: Any, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    with pa_ipc.new_stream(sink, table.schema, options=pa_ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def posted(demo: Any, body: bytes, content_type: str, **headers: str) -> Any:
    sent = {"content-type": content_type, **headers}
    return demo.replica.http.post("/predict/plain/batch", content=body, headers=sent)


LONG = pa.table({"age": pa.array([0.0] * 400_000)})
REPEATED = pa.table({"age": ["x" * 60_000] * 2000})


@pytest.mark.parametrize(
    "body",
    [
        stream(LONG, "zstd"),
        stream(LONG, "lz4"),
        parquet(LONG, compression="zstd", use_dictionary=False),
        parquet(pa.table({"age": ["x" * 8_000_000]}), compression="zstd"),
        parquet(REPEATED, use_dictionary=False, column_encoding={"age": "DELTA_BYTE_ARRAY"}),
        parquet(LONG.slice(0, 20_000), row_group_size=100),
        stream(LONG.slice(0, 20_000)),
    ],
    ids=["arrow zstd", "arrow lz4", "parquet zstd", "a long text", "prefixes", "parquet rows", "arrow rows"],
)
def test_a_small_body_does_not_become_a_large_table(body: bytes) -> None:
    assert len(body) < CAPS.body_bytes
    read = arrow.read_parquet if body[:4] == b"PAR1" else arrow.read_stream
    with pytest.raises(Problem) as refused:
        read(body, CAPS)
    assert refused.value.status in (413, 422)


def test_a_text_repeated_in_a_dictionary_stays_one_text() -> None:
    table = pa.table({"city": pa.DictionaryArray.from_arrays(pa.array([0] * 5000), ["x" * 100_000])})
    found = arrow.read_parquet(parquet(table, compression="zstd"), CAPS)["city"]
    assert len(found) == 5000
    assert all(value is found[0] for value in found)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_damaged_tables_are_refused_or_read_and_nothing_else(form: str) -> None:
    table = pa.table(
        {
            "age": [1.5, None, 3.0] * 20,
            "member": [True, None, False] * 20,
            "city": pa.array(["x", None, "é"] * 20).dictionary_encode(),
        }
    )
    whole = stream(table, "lz4") if form == "arrow" else parquet(table, write_page_index=True)
    read = arrow.read_stream if form == "arrow" else arrow.read_parquet
    chance = random.Random(20261120)  # noqa: S311 - nothing secret
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        with contextlib.suppress(BodyTooLarge, BatchTooLarge, InvalidRequest):
            read(bytes(damaged), CAPS)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_of_every_kind_is_read(compression: str, version: str) -> None:
    table = pa.table({"age": [1.0, 2.0, None] * 100, "city": ["a", None, "b"] * 100})
    found = arrow.read_parquet(
        parquet(table, compression=compression, data_page_version=version, data_page_size=64, row_group_size=70), CAPS
    )
    assert found["age"][:2].tolist() == [1.0, 2.0]
    assert found["city"][:3].tolist() == ["a", None, "b"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "text/csv", 422),
        (b"age,children\n", "text/csv", 422),
        (b"age,age\n1,2\n", "text/csv", 422),
        (b"age,children\n1\n", "text/csv", 422),
        (b"age,children\n1,2\n", "text/csv; charset=utf-16", 415),
        (b"age,children\n\xff,2\n", "text/csv", 422),
        (b"age,children\nforty,2\n", "text/csv", 422),
        (b"age,children\n1,2,3\n", "text/csv", 422),
        (b"," * 50_000 + b"\n", "text/csv", 422),
        (b'{"age": 1', "application/x-ndjson", 422),
        (b"[1, 2]", "application/x-ndjson", 422),
        (b"", "application/x-ndjson", 422),
        (b"", ARROW, 422),
        (b"PAR1", PARQUET, 422),
        (b"x" * 1000, PARQUET, 422),
        (b"<rows/>", "application/xml", 415),
        (stream(pa.table({"age": [[1.0]]})), ARROW, 422),
        (stream(pa.table({"age": ["x"], "children": [1]})), ARROW, 422),
    ],
)
def test_what_is_no_table_is_refused(demo: Any, body: bytes, content_type: str, status: int) -> None:
    answer = posted(demo, body, content_type)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_answer_may_have_another_form_than_the_request(demo: Any) -> None:
    body = b"age,children\n30,1\n,2\n"
    assert posted(demo, body, "text/csv", accept="application/json").json()["count"] == 2
    lines = posted(demo, body, "text/csv", accept="application/x-ndjson, */*;q=0.1")
    assert lines.headers["content-type"] == "text/csv"  # anything will do: the form of the request
    table = pq.read_table(io.BytesIO(posted(demo, body, "text/csv", accept=PARQUET).content))
    assert table.column_names[:3] == ["prediction", "confidence", "low_confidence"]
    assert posted(demo, body, "text/csv", accept="image/png").status_code == 406
    headless = posted(demo, b"30,1\n,2\n", "text/csv; header=absent")
    assert headless.content == posted(demo, body, "text/csv").content
    slim = demo.replica.http.post(
        "/predict/plain/batch?probabilities=false", content=body, headers={"content-type": "text/csv"}
    )
    assert slim.text.splitlines()[0] == '"prediction","confidence","low_confidence"'


def test_a_wrong_cell_is_named_by_row_and_feature(demo: Any) -> None:
    answer = posted(demo, b"age,children\n30,1\n31,many\n", "text/csv")
    assert answer.json()["errors"][0]["pointer"] == "/inputs/1/children"
    bad = stream(pa.table({"age": [1.0, float("inf")], "children": [1, 2]}))
    assert posted(demo, bad, ARROW).json()["errors"][0]["pointer"] == "/inputs/1/age"
