"""Tables that lie, bombs and odd files: refused in words, soon, and the service goes on."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow is untyped.

import contextlib
import io
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
import pytest
from mill_contracts.tables import ColumnKind
from mill_kit.problems import Problem
from mill_pack import FeatureSpec, InvalidInput
from mill_serving.doors.tables import arrow, separated
from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.tables.pages import extent_of
from mill_serving.doors.tables.thrift import read_struct
from mill_serving.errors import BatchTooLarge, BodyTooLarge, InvalidRequest
from mill_serving.intake import Wanted, rows_of

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
CAPS = Caps(rows=10_000, body_bytes=1 << 20)
WANTED = Wanted(())


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
        read(body, WANTED, CAPS)
    assert refused.value.status in (413, 422)


def test_a_text_repeated_in_a_dictionary_stays_one_text() -> None:
    table = pa.table({"city": pa.DictionaryArray.from_arrays(pa.array([0] * 5000), ["x" * 100_000])})
    found = arrow.read_parquet(parquet(table, compression="zstd"), WANTED, CAPS)["city"]
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
            read(bytes(damaged), WANTED, CAPS)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_of_every_kind_is_read(compression: str, version: str) -> None:
    table = pa.table({"age": [1.0, 2.0, None] * 100, "city": ["a", None, "b"] * 100})
    found = arrow.read_parquet(
        parquet(table, compression=compression, data_page_version=version, data_page_size=64, row_group_size=70),
        WANTED,
        CAPS,
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


def varint(number: int) -> bytes:
    return (bytes([number & 127 | 128]) + varint(number >> 7)) if number > 127 else bytes([number])


def whole(step: int, number: int) -> bytes:
    """A whole number as the field `step` fields after the one before."""
    return bytes([step << 4 | 6]) + varint(number << 1)


def structs(step: int, each: bytes, count: int) -> bytes:
    return bytes([step << 4 | 9, 0xFC]) + varint(count) + each * count


def hostile_parquet(structs_in_head: int, chunks: int, pages: int = 1) -> bytes:
    """A file whose columns all lie in the same place."""
    head = whole(2, 0) + whole(1, 0) + (structs(1, b"\0", structs_in_head) if structs_in_head else b"") + b"\0"
    metadata = whole(7, len(head) * pages) + whole(2, 4) + b"\0"
    group = structs(1, b"\x3c" + metadata + b"\0", chunks) + whole(2, 1) + b"\0"
    footer = whole(3, 1) + structs(1, group, 1) + b"\0"
    return b"PAR1" + head * pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


class CountedBytes(bytes):
    """Bytes that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (hostile_parquet(20_000, 40), "in the same place"),
        (hostile_parquet(20_000, 1), "too many values"),
        (hostile_parquet(0, 1, pages=1000), "more pages than rows"),
        (hostile_parquet(0, 20_000), "in the same place"),
    ],
    ids=["all at once", "a head of structs", "pages", "columns"],
)
def test_a_parquet_file_is_walked_once_at_most(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        arrow.read_parquet(body, WANTED, CAPS)
    counted = CountedBytes(body)
    with pytest.raises(ValueError, match=words):
        extent_of(counted)
    assert counted.looks <= len(body) + 100


@pytest.mark.parametrize("each", [b"\0", b"\x11\0"], ids=["empty structs", "structs of a truth"])
def test_a_footer_of_structs_is_not_built(each: bytes) -> None:
    body = CountedBytes(structs(1, each, 100_000) + b"\0")
    with pytest.raises(ValueError, match="too many values"):
        read_struct(body, 0, len(body), 50_000)
    assert body.looks < 10


@pytest.mark.parametrize("body", [b"\x11" * 1000 + b"\0", b"\x18\xff\xff\x7f\0"], ids=["truths", "a long text"])
def test_a_head_is_short(body: bytes) -> None:
    with pytest.raises(ValueError, match="a head"):
        read_struct(body, 0, len(body), 64)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_of_many_groups_pages_and_long_statistics_is_read(compression: str, version: str) -> None:
    table = pa.table(
        {
            **{f"n{number}": pa.array(np.arange(4000) % 7, mask=np.arange(4000) % 5 == 0) for number in range(12)},
            "city": [f"{number % 9}" * 2000 for number in range(4000)],
        }
    )
    body = parquet(
        table,
        compression=compression,
        data_page_version=version,
        row_group_size=40,
        data_page_size=256,
        write_batch_size=16,
        write_page_index=version == "2.0",
    )
    found = arrow.read_parquet(body, WANTED, Caps(10_000, 1 << 25))
    assert found["city"][[0, 3999]].tolist() == table["city"].take([0, 3999]).to_pylist()
    expected = np.where(np.arange(4000) % 5 == 0, np.nan, np.arange(4000) % 7)
    assert np.array_equal(found["n3"], expected, equal_nan=True)


FEATURE = FeatureSpec(name="age", kind=ColumnKind.NUMBER, nullable=True)
MANY = {f"x{number}": pa.nulls(10_000) for number in range(500)}
FEW = {f"x{number}": pa.nulls(10_000) for number in range(5)}
AGES = {"age": pa.array(np.zeros(10_000))}


def written(form: str, columns: dict[str, Any]) -> bytes:
    table = pa.table(columns)
    if form == "csv":
        names, rows = ",".join(table.column_names), table.num_rows
        return f"{names}\n".encode() + (b"1" + b"," * (table.num_columns - 1) + b"\n") * rows
    return stream(table) if form == "arrow" else parquet(table)


def read(form: str, body: bytes, wanted: Wanted, caps: Caps = CAPS) -> Any:
    if form == "csv":
        return separated.read(body, wanted, caps, header=True)
    return arrow.read_stream(body, wanted, caps) if form == "arrow" else arrow.read_parquet(body, wanted, caps)


FORMS = pytest.mark.parametrize("form", ["arrow", "parquet", "csv"])


@FORMS
def test_many_columns_of_no_feature_are_refused_by_name_or_left_alone(form: str) -> None:
    body = written(form, {**AGES, **MANY})
    with pytest.raises(InvalidInput, match=r"/inputs/0/x0: is no feature of this model, as 500 columns"):
        read(form, body, Wanted([FEATURE]))
    assert list(read(form, body, Wanted([FEATURE], ignores_extra=True))) == ["age"]


@FORMS
def test_a_few_columns_of_no_feature_are_read_so_that_each_row_names_them(form: str) -> None:
    found = read(form, written(form, {**FEW, **AGES}), Wanted([FEATURE]))
    assert list(found) == [*FEW, "age"]
    assert rows_of(found, [FEATURE])[1].keys() == {*FEW, "age"}


@FORMS
def test_a_table_without_features_keeps_its_rows_where_others_are_ignored(form: str) -> None:
    assert len(rows_of(read(form, written(form, FEW), Wanted([FEATURE], ignores_extra=True)), [FEATURE])) == 10_000


@FORMS
def test_cells_are_counted_and_not_weighed(form: str) -> None:
    features = [FeatureSpec(name=name, kind=ColumnKind.NUMBER, nullable=True) for name in MANY]
    body = written(form, MANY)
    assert len(read(form, body, Wanted(features))) == 500
    with pytest.raises(BatchTooLarge, match="one request may hold 5,120"):
        read(
            form,
            written(form, {**MANY, **{f"y{number}": pa.nulls(10_000) for number in range(500)}}),
            Wanted(
                [
                    *features,
                    *(FeatureSpec(name=f"y{number}", kind=ColumnKind.NUMBER, nullable=True) for number in range(500)),
                ]
            ),
        )


_GROWTH = """
import resource, sys
from pathlib import Path
from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, InvalidInput
from mill_serving.doors.tables import arrow
from mill_serving.doors.tables.forms import Caps
from mill_serving.intake import Wanted, rows_of

body = Path(sys.argv[1]).read_bytes()
features = [FeatureSpec(name="age", kind=ColumnKind.NUMBER, nullable=True)]
read = arrow.read_parquet if body[:4] == b"PAR1" else arrow.read_stream
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    rows_of(read(body, Wanted(features, sys.argv[2] == "ignore"), Caps(10_000, 2**24)), features)
except InvalidInput as refused:
    print(len(refused.errors))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("extra", ["refuse", "ignore"])
@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_columns_without_bytes_become_no_objects(form: str, extra: str, tmp_path: Any) -> None:
    flat = {f"x{number}": pa.array(np.zeros(10_000, dtype=np.int8)) for number in range(3000)}
    (tmp_path / "body").write_bytes(written(form, {**AGES, **(MANY if form == "arrow" else flat)}))
    command = [sys.executable, "-c", _GROWTH, str(tmp_path / "body"), extra]
    *errors, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert errors == (["100"] if extra == "refuse" else [])
    assert int(megabytes) < 64


def test_a_dictionary_is_not_unpacked_once_for_every_batch() -> None:
    city = pa.DictionaryArray.from_arrays(pa.array([3, None, 3, 7]), [f"{number}" for number in range(100_000)])
    sink = io.BytesIO()
    with pa_ipc.new_stream(sink, pa.schema([("city", city.type)])) as writer:
        for number in range(900):
            writer.write_batch(pa.record_batch({"city": city.slice(number % 4, 1)}))
    assert arrow.read_stream(sink.getvalue(), WANTED, CAPS)["city"].tolist()[:5] == ["3", None, "3", "7", "3"]


def test_a_stream_of_very_many_batches_is_refused() -> None:
    table = pa.table({"age": [1.0]})
    sink = io.BytesIO()
    with pa_ipc.new_stream(sink, table.schema) as writer:
        for _ in range(1001):
            writer.write_table(table)
    with pytest.raises(InvalidRequest, match="more than 1,000 record batches"):
        arrow.read_stream(sink.getvalue(), WANTED, CAPS)


def test_wide_tables_are_refused_at_every_door(demo: Any) -> None:
    body = stream(pa.table({**MANY, "age": pa.array(np.ones(10_000))}))
    for address in ("/predict/plain/batch", "/models/plain/invocations", "/models/plain:validate"):
        answer = demo.replica.http.post(address, content=body, headers={"content-type": ARROW})
        assert answer.status_code in (400, 422), address
        assert "is no feature of this model" in answer.text
