"""Every bad table is refused with its own problem that names the line or the column; none crashes and none is repaired."""

import gzip
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from mill_contracts.tasks import ProfileTask
from mill_kit.problems import Problem
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

Columns = dict[str, Any]
Content = bytes | Callable[[Callable[[Columns], bytes]], bytes]


@dataclass(frozen=True)
class Bad:
    """An upload (Parquet is made by the function it is given) and the refusal it must get."""

    title: str
    content: Content
    slug: str
    line: int | None = None
    column: str | None = None
    says: str = ""
    name: str = "table.csv"
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


GOOD = b"age,city\n39,Bern\n41,Genf\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
NOISE = bytes((index * 7919) % 256 for index in range(4096))
TABLE: Columns = {"age": [39, 41] * 5_000, "city": ["Bern", "Genf"] * 5_000}
NDJSON = "t.ndjson"
JSON = "t.json"

CORPUS = [
    Bad("empty file", b"", "empty-file"),
    Bad("blank file", b" \n\n \n", "empty-file"),
    Bad("empty gzip", gzip.compress(b""), "empty-file"),
    Bad("header only", b"age,city\n", "no-rows", line=1),
    Bad("header only, no line end", b"age,city", "no-rows", line=1),
    Bad("empty JSON array", b"[]", "no-rows", name=JSON),
    Bad("Parquet without rows", lambda parquet: parquet({"age": []}), "no-rows", name="t.parquet"),
    # rows
    Bad("short row", b"a,b,c\n1,2,3\n4,5\n6,7,8\n", "ragged-rows", line=3, says="2 cells where the header has 3"),
    Bad("long row", b"a,b\n1,2\n1,2,3\n", "ragged-rows", line=3, says="3 cells"),
    Bad("trailing delimiter", b"a,b\n1,2\n3,4,\n", "ragged-rows", line=3, says="3 cells"),
    Bad("ragged after a quoted line end", b'a,b\n"x\ny",2\n\n1\n', "ragged-rows", line=5, says="1 cells"),
    Bad("ragged with Windows line ends", b"a,b\r\n1,2\r\n3\r\n", "ragged-rows", line=3),
    Bad("ragged deep in the file", b"a,b\n" + b"1,2\n" * 150_000 + b"3\n" + b"1,2\n" * 9, "ragged-rows", line=150_002),
    Bad("unquoted decimal commas", b"x\n1,5\n2,5\n", "ragged-rows", line=2),
    # quotes
    Bad("unterminated quote", b'a,b\n1,2\n3,"x\n5,6\n', "unterminated-quote", line=3, column="b"),
    Bad("quote closed by another row's", b'a,b\n1,"x\n5,6\n7,"y"\n8,9\n', "unterminated-quote", line=2, column="b"),
    Bad("text after a quote", b'a,b\n1,2\n"x"y,6\n', "misplaced-quote", line=3, column="a"),
    # bytes
    Bad("Latin-1", "name,city\nAna,Bern\nZo\u00eb,Genf\n".encode("latin-1"),
        "not-utf8", line=3, column="name", says="0xeb"),
    Bad("Windows-1252", "a,b\n1,\u20ac5\n".encode("cp1252"), "not-utf8", line=2, column="b", says="0x80"),
    Bad("Latin-1 late", b"a,b\n" + b"1,2\n" * 200_000 + b"3,\xe9\n", "not-utf8", line=200_002, column="b"),
    Bad("UTF-16 without a mark", "age,city\n1,2\n".encode("utf-16-le"), "not-utf8", line=1, says="UTF-16"),
    Bad("broken UTF-16", b"\xff\xfe" + "a,b\n1,".encode("utf-16-le") + b"\x00\xd8\n\x00", "not-utf8", line=2),
    Bad("NUL", b"age,city\n1,Bern\n2,Ge\x00nf\n", "nul-byte", line=3, column="city"),
    Bad("picture called CSV", PNG, "not-a-table", says="PNG"),
    Bad("noise called CSV", NOISE, "not-a-table", says="binary"),
    Bad("workbook called CSV", b"PK\x03\x04" + NOISE, "not-a-table", says="Excel"),
    Bad("gzip in gzip", gzip.compress(gzip.compress(GOOD)), "not-a-table", says="gzip inside gzip"),
    # names
    Bad("two equal names", b"a,b,a\n1,2,3\n", "duplicate-column-name", line=1, column="a", says="Columns 1 and 3"),
    Bad("empty name", b"a,,c\n1,2,3\n", "empty-column-name", line=1, says="Column 2"),
    Bad("saved index", b",a\n0,1\n", "empty-column-name", line=1, says="row index"),
    Bad("long name", b"a," + b"n" * 300 + b"\n1,2\n", "column-name-too-long", line=1),
    Bad("5,000 columns", b",".join(b"c%d" % i for i in range(5_000)) + b"\n" + b",".join([b"1"] * 5_000),
        "too-many-columns", line=1, says="5,000"),
    Bad("5,000 keys", b"{" + b",".join(b'"c%d":1' % i for i in range(5_000)) + b"}",
        "too-many-columns", line=1, name=NDJSON),
    Bad("empty key", b'{"":1}\n', "empty-column-name", name=NDJSON),
    # sizes
    Bad("a cell of 10 MB", b"a,b\n1,2\n3," + b"x" * 10_000_000 + b"\n", "cell-too-large", line=3, column="b"),
    Bad("a quoted cell of 10 MB", b'a,b\n1,2\n"' + b"x\n" * 5_000_000 + b'",3\n', "cell-too-large", line=3, column="a"),
    Bad("10 MB of UTF-8", "a,b\n\u00e9,2\n3,".encode() + "\u00e9".encode() * 5_000_000 + b"\n",
        "cell-too-large", line=3, column="b"),
    Bad("a JSON string of 10 MB", b'{"a":1}\n{"a":"' + b"x" * 10_000_000 + b'"}\n',
        "cell-too-large", line=2, column="a", name=NDJSON),
    Bad("a header of 2 MB", b"x" * 2_000_000, "not-a-table", line=1),
    Bad("gzip bomb", gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000),
        "unpacks-too-large", fields={"max_unpacked_bytes": 2**20}),
    Bad("Parquet bomb", lambda parquet: parquet({"a": [1] * 1_000_000}),
        "unpacks-too-large", name="t.parquet", fields={"max_unpacked_bytes": 2**19}),
    # packing
    Bad("truncated gzip", gzip.compress(GOOD * 1000)[:-20], "truncated-file"),
    Bad("damaged gzip", gzip.compress(NOISE)[:500] + b"\xff" * 500 + gzip.compress(NOISE)[1000:], "truncated-file"),
    Bad("truncated Parquet", lambda parquet: parquet(TABLE)[:-100], "truncated-file", name="t.parquet"),
    Bad("damaged Parquet footer", lambda parquet: parquet(TABLE)[:-60] + b"\xff" * 40 + parquet(TABLE)[-20:],
        "broken-parquet", name="t.parquet"),
    Bad("damaged Parquet pages", lambda parquet: parquet(TABLE)[:4] + b"\xff" * 200 + parquet(TABLE)[204:],
        "broken-parquet", name="t.parquet"),
    Bad("absurd footer length", lambda parquet: parquet(TABLE)[:-8] + struct.pack("<I", 2**31) + b"PAR1",
        "broken-parquet", name="t.parquet"),
    Bad("CSV called Parquet", GOOD, "broken-parquet", name="t.parquet"),
    Bad("binary column", lambda parquet: parquet({"a": [1], "b": [b"\x00\x01"]}),
        "unsupported-column", column="b", name="t.parquet"),
    Bad("infinity in Parquet", lambda parquet: parquet({"a": [1.0, float("inf")]}),
        "not-finite", column="a", says="Row 2", name="t.parquet"),
    # JSON
    Bad("a broken line", b'{"a":1}\n{"a":\n{"a":3}\n', "broken-json", line=2, name=NDJSON),
    Bad("two objects on a line", b'{"a":1}\n{"a":1}{"a":2}\n', "broken-json", line=2, name=NDJSON),
    Bad("a row that is a list", b'{"a":1}\n[1]\n', "broken-json", line=2, name=NDJSON),
    Bad("a key twice", b'{"a":1}\n{"a":1,"a":2}\n', "broken-json", line=2, column="a", name=NDJSON),
    Bad("NaN", b'{"a":1}\n\n{"a":NaN}\n', "not-finite", line=3, name=NDJSON),
    Bad("Infinity", b'{"a":-Infinity}\n', "not-finite", line=1, name=NDJSON),
    Bad("a number beyond floats", b'{"a":1}\n{"a":1e999}\n', "not-finite", line=2, column="a", name=NDJSON),
    Bad("half a surrogate pair", b'{"a":"\\ud800"}\n', "broken-json", line=1, name=NDJSON),
    Bad("escaped NUL", b'{"a":"x\\u0000"}\n', "nul-byte", line=1, name=NDJSON),
    Bad("Latin-1 in NDJSON", b'{"a":1}\n{"a":"\xe9"}\n', "not-utf8", line=2, name=NDJSON),
    Bad("depth", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "broken-json", line=1, name=NDJSON),
    Bad("cut array", b'[{"a":1},\n{"a":2},\n', "broken-json", line=3, says="ends", name=JSON),
    Bad("a broken object", b'[{"a":1},\n{"a":2},\n{"a":}]', "broken-json", line=3, name=JSON),
    Bad("a missing comma", b'[{"a":1}\n{"a":2}]', "broken-json", line=2, name=JSON),
    Bad("text after the array", b'[{"a":1}]\nx', "broken-json", line=2, name=JSON),
    Bad("an array of numbers", b"[1, 2]", "broken-json", line=1, name=JSON),
    Bad("an array in Latin-1", b'[{"a":1},\n{"a":"\xe9"}]', "not-utf8", line=2, name=JSON),
    Bad("not JSON at all", b"hello", "broken-json", line=1, name=JSON),
]  # fmt: skip


@pytest.mark.parametrize("bad", CORPUS, ids=[bad.title for bad in CORPUS])
def test_a_bad_table_is_refused_naming_the_place(
    bad: Bad, profile_task: Callable[..., ProfileTask], parquet_bytes: Callable[[Columns], bytes]
) -> None:
    content = bad.content if isinstance(bad.content, bytes) else bad.content(parquet_bytes)
    task = profile_task(content, bad.name, **bad.fields)

    with pytest.raises(Problem) as refused:
        profile(task, SilentReport())

    problem = refused.value
    assert (problem.slug, problem.status) == (bad.slug, 422), problem.detail
    said = problem.detail + " " + " ".join(str(error["detail"]) for error in problem.errors)
    assert bad.says in said
    assert str(task.raw_file.parent) not in said, "a refusal never shows local paths"
    if bad.line is not None:
        assert problem.errors[0].get("line") == bad.line, problem.detail
    if bad.column is not None:
        assert problem.errors[0].get("column") == bad.column, problem.detail
    assert not any(task.out_dir.iterdir()), "a refused table leaves nothing behind"


@pytest.mark.parametrize(
    "name", ["table.csv", "table.ndjson", "table.json", "table.parquet", "table.xlsx", "", "😀/../x"]
)
def test_noise_of_any_length_and_name_is_refused_or_read_but_never_crashes(
    name: str, profile_task: Callable[..., ProfileTask]
) -> None:
    stream = io.BytesIO(NOISE)
    for size in (1, 2, 3, 7, 100, 1_000):
        with pytest.raises(Problem):
            profile(profile_task(b"\x01\x02\x03\x04" + stream.read(size), name), SilentReport())
