"""What a readable table becomes: the values that were written, in the shape they have, with a warning where one must look."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from mill_contracts.tables import ColumnKind, DatasetReport
from mill_contracts.tasks import ProfileTask
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

MakeTask = Callable[..., ProfileTask]
Read = Callable[[Path], dict[str, list[Any]]]
Table = tuple[DatasetReport, dict[str, list[Any]]]


@pytest.fixture
def upload(profile_task: MakeTask, read_parquet: Read) -> Callable[..., Table]:
    """Profile an upload; its report and its values."""

    def run(content: str | bytes, name: str = "table.csv", **fields: object) -> Table:
        task = profile_task(content.encode() if isinstance(content, str) else content, name, **fields)
        report = profile(task, SilentReport())
        return report, read_parquet(task.out_dir / "data.parquet")

    return run


def codes(report: DatasetReport) -> set[tuple[str, str | None]]:
    return {(warning.code, warning.column) for warning in report.warnings}


SHAPES: list[tuple[str, list[str], ColumnKind, list[object]]] = [
    ("integers", ["1", "-2", "0"], ColumnKind.INTEGER, [1, -2, 0]),
    ("blanks around integers", [" 1", "2 ", "\t3"], ColumnKind.INTEGER, [1, 2, 3]),
    ("integers beyond 2^53", ["9007199254740993", "1"], ColumnKind.INTEGER, [9007199254740993, 1]),
    ("the largest integer", ["9223372036854775807"], ColumnKind.INTEGER, [2**63 - 1]),
    ("beyond 64 bits", ["9223372036854775808"], ColumnKind.STRING, ["9223372036854775808"]),
    ("leading zeros", ["007", "123"], ColumnKind.STRING, ["007", "123"]),
    ("plus signs", ["+49171"], ColumnKind.STRING, ["+49171"]),
    ("underscores", ["1_000"], ColumnKind.STRING, ["1_000"]),
    ("hexadecimal", ["0x10"], ColumnKind.STRING, ["0x10"]),
    ("thousands", ['"1,000"', '"2,500"'], ColumnKind.STRING, ["1,000", "2,500"]),
    ("numbers", ["1", "2.5", "-.5", "3.", "1e3", "-0"], ColumnKind.NUMBER, [1.0, 2.5, -0.5, 3.0, 1000.0, -0.0]),
    ("infinities", ["1.5", "inf"], ColumnKind.STRING, ["1.5", "inf"]),
    ("not a number", ["1.5", "NaN"], ColumnKind.STRING, ["1.5", "NaN"]),
    ("beyond floats", ["1e400"], ColumnKind.STRING, ["1e400"]),
    ("a lone sign", ["-", "1"], ColumnKind.STRING, ["-", "1"]),
    ("booleans", ["True", "false", "TRUE"], ColumnKind.BOOLEAN, [True, False, True]),
    ("yes and no", ["yes", "no"], ColumnKind.STRING, ["yes", "no"]),
    ("zero and one", ["0", "1"], ColumnKind.INTEGER, [0, 1]),
    ("dates", ["2026-01-31", "1899-12-31"], ColumnKind.DATE, [date(2026, 1, 31), date(1899, 12, 31)]),
    ("no such date", ["2026-02-30"], ColumnKind.STRING, ["2026-02-30"]),
    ("other dates", ["31/12/2026"], ColumnKind.STRING, ["31/12/2026"]),
    (
        "timestamps",
        ["2026-01-31 10:20", "2026-01-31T10:20:30.5"],
        ColumnKind.TIMESTAMP,
        [datetime(2026, 1, 31, 10, 20), datetime(2026, 1, 31, 10, 20, 30, 500_000)],  # noqa: DTZ001 - no zone is the point
    ),
    (
        "timestamps with zones",
        ["2026-01-31T10:00:00+02:00", "2026-01-31 10:00:00Z"],
        ColumnKind.TIMESTAMP,
        [datetime(2026, 1, 31, 8, tzinfo=UTC), datetime(2026, 1, 31, 10, tzinfo=UTC)],
    ),
    ("dates and timestamps", ["2026-01-31", "2026-01-31 10:20"], ColumnKind.STRING, ["2026-01-31", "2026-01-31 10:20"]),
    ("text", ["Zürich", "東京", "😀"], ColumnKind.STRING, ["Zürich", "東京", "😀"]),
    ("blanks around text", [" a", "a "], ColumnKind.STRING, [" a", "a "]),
    ("the word NULL", ["NULL", "NA"], ColumnKind.STRING, ["NULL", "NA"]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "kind", "values"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_column_is_what_every_value_shows(
    cells: list[str], kind: ColumnKind, values: list[object], upload: Callable[..., Table]
) -> None:
    report, table = upload("x,y\n" + "".join(f"{cell},k\n" for cell in cells) + ",k\n")

    assert report.columns[0].kind is kind
    assert table["x"] == [*values, None]
    assert report.columns[0].missing == 1


def test_one_late_odd_value_makes_the_whole_column_text(upload: Callable[..., Table]) -> None:
    cells = [str(number) for number in range(60_000)] + ["007"]

    report, table = upload("x,y\n" + "".join(f"{cell},2.5\n" for cell in cells))

    assert [column.kind for column in report.columns] == [ColumnKind.STRING, ColumnKind.NUMBER]
    assert table["x"] == cells


def test_an_odd_value_is_found_late_under_names_that_differ_in_case_only(upload: Callable[..., Table]) -> None:
    _, table = upload("x,X\n" + "1,2\n" * 60_000 + "007,2\n")

    assert table["x"][-2:] == ["1", "007"]
    assert table["X"][-1] == 2


def test_a_column_first_filled_late_gets_its_kind(upload: Callable[..., Table]) -> None:
    report, table = upload("x,y\n" + ",1\n" * 30_000 + "5,1\n")

    assert report.columns[0].kind is ColumnKind.INTEGER
    assert table["x"][-1] == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str, upload: Callable[..., Table]) -> None:
    report, table = upload(f"a{delimiter}b\n1{delimiter}x\n2{delimiter}y\n")

    assert report.delimiter == delimiter
    assert table == {"a": [1, 2], "b": ["x", "y"]}


def test_decimal_commas_do_not_mislead_the_delimiter(upload: Callable[..., Table]) -> None:
    report, table = upload("a;b\n1,5;2,5\n3,5;4,5\n")

    assert report.delimiter == ";"
    assert table["a"] == ["1,5", "3,5"]
    assert ("numbers-kept-as-text", "a") in codes(report)


ODD_BUT_GOOD: list[tuple[str, str, dict[str, list[object]]]] = [
    ("quoted line ends", 'a,b\n1,"x\ny"\n2,"p\r\nq"\n', {"a": [1, 2], "b": ["x\ny", "p\r\nq"]}),
    ("Windows line ends", "a,b\r\n1,x\r\n2,y\r\n", {"a": [1, 2], "b": ["x", "y"]}),
    ("Windows line ends, quoted", 'a,b\r\n1,"x\r\ny"\r\n2,"z"\r\n', {"a": [1, 2], "b": ["x\r\ny", "z"]}),
    ("old Mac line ends", "a,b\r1,x\r2,y\r", {"a": [1, 2], "b": ["x", "y"]}),
    ("mixed line ends", "a,b\r\n1,x\n2,y\r\n", {"a": [1, 2], "b": ["x", "y"]}),
    ("doubled quotes", 'a,b\n1,"say ""hi"""\n2,""""\n', {"a": [1, 2], "b": ['say "hi"', '"']}),
    ("quotes inside", 'a,b\n1,5" pipe\n2,x""y\n', {"a": [1, 2], "b": ['5" pipe', 'x""y']}),
    ("a blank before a quote", 'a,b\n1, "x"\n2,y\n', {"a": [1, 2], "b": [' "x"', "y"]}),
    ("quoted numbers", 'a,b\n"1","x"\n"2","y"\n', {"a": [1, 2], "b": ["x", "y"]}),
    ("quoted delimiters", 'a,b\n1,"x,y"\n2,"z"\n', {"a": [1, 2], "b": ["x,y", "z"]}),
    ("quoted nothing is missing", 'a,b\n1,""\n2,y\n', {"a": [1, 2], "b": [None, "y"]}),
    ("no final line end", "a,b\n1,x\n2,y", {"a": [1, 2], "b": ["x", "y"]}),
    ("hash is text", "a,b\n#1,x\n#2,y\n", {"a": ["#1", "#2"], "b": ["x", "y"]}),
    ("a missing last cell", "a,b\n1,\n2,y\n", {"a": [1, 2], "b": [None, "y"]}),
    ("one column", "a\n1\n2\n", {"a": [1, 2]}),
    ("names by case", "Name,name,NAME\n1,x,2.5\n", {"Name": [1], "name": ["x"], "NAME": [2.5]}),
    ("quoted names", '"a ""b""","c\nd"\n1,x\n', {'a "b"': [1], "c\nd": ["x"]}),
    ("names with slashes and emoji", "a/b,😀,'c'\n1,x,y\n", {"a/b": [1], "😀": ["x"], "'c'": ["y"]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"), [row[1:] for row in ODD_BUT_GOOD], ids=[row[0] for row in ODD_BUT_GOOD]
)
def test_an_odd_but_clear_csv_is_read_as_written(
    content: str, expected: dict[str, list[object]], upload: Callable[..., Table]
) -> None:
    report, table = upload(content)

    assert table == expected
    assert report.rows == len(next(iter(expected.values())))


def test_blank_lines_are_no_rows_and_are_told(upload: Callable[..., Table]) -> None:
    report, table = upload("\na,b\n1,x\n\n2,y\n\n")

    assert table == {"a": [1, 2], "b": ["x", "y"]}
    assert ("blank-lines", None) in codes(report)


def test_a_utf8_mark_is_no_part_of_the_first_name(upload: Callable[..., Table]) -> None:
    report, table = upload(b'\xef\xbb\xbf"a","b"\n1,x\n')

    assert list(table) == ["a", "b"]
    assert report.encoding == "utf-8-sig"
    assert ("byte-order-mark", None) in codes(report)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf16_with_a_mark_is_read_and_told(encoding: str, upload: Callable[..., Table]) -> None:
    report, table = upload("\ufeffa,b\n1,Zürich 😀\n".encode(encoding))

    assert table == {"a": [1], "b": ["Zürich 😀"]}
    assert report.encoding == encoding
    assert ("encoding-converted", None) in codes(report)


def test_format_and_packing_are_known_by_content_whatever_the_name(
    upload: Callable[..., Table], parquet_bytes: Callable[[dict[str, Any]], bytes]
) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    lines = "\n".join(map(json.dumps, rows))
    uploads = {
        "csv": b"a,b\n1,x\n2,y\n",
        "json": json.dumps(rows, indent=1).encode(),
        "ndjson": lines.encode(),
        "parquet": parquet_bytes({"a": [1, 2], "b": ["x", "y"]}),
    }
    for name, content in uploads.items():
        report, table = upload(content, "upload.csv")
        assert (report.format, report.compression) == (name, None)
        assert table == {"a": [1, 2], "b": ["x", "y"]}
        if name != "parquet":
            report, table = upload(gzip.compress(content), "upload")
            assert (report.format, report.compression) == (name, "gzip")
            assert table == {"a": [1, 2], "b": ["x", "y"]}


def test_json_says_itself_what_is_text(upload: Callable[..., Table]) -> None:
    rows = [
        {"n": 1, "t": "007", "f": 1, "d": "2026-01-31", "mixed": 1, "b": True, "big": 2**70},
        {"t": "", "f": 2.5, "d": "2026-02-01", "mixed": "x", "b": None, "Name": "A", "name": "a"},
        {"n": 9007199254740993, "nested": {"k": [1, "é"]}, "never": None, "z": "2026-01-31T10:00:00Z"},
    ]

    report, table = upload("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "t.ndjson")

    assert table["n"] == [1, None, 9007199254740993]
    assert table["t"] == ["007", "", None]
    assert table["f"] == [1.0, 2.5, None]
    assert table["d"] == [date(2026, 1, 31), date(2026, 2, 1), None]
    assert table["mixed"] == ["1", "x", None]
    assert table["b"] == [True, None, None]
    assert table["big"] == [str(2**70), None, None]
    assert (table["Name"], table["name"]) == ([None, "A", None], [None, "a", None])
    assert table["nested"] == [None, None, '{"k": [1, "é"]}']
    assert table["z"] == [None, None, datetime(2026, 1, 31, 10, tzinfo=UTC)]
    assert {column.name: column.kind for column in report.columns}["never"] is ColumnKind.EMPTY
    told = codes(report)
    assert {("mixed-column", "mixed"), ("nested-kept-as-text", "nested"), ("zones-converted", "z")} <= told


def test_a_long_json_array_is_read_in_pieces(upload: Callable[..., Table]) -> None:
    rows = [{"i": index, "s": "x" * (index % 997)} for index in range(30_000)]

    report, table = upload(json.dumps(rows), "t.json")

    assert report.rows == 30_000
    assert table["s"] == [row["s"] for row in rows]


def test_the_preview_holds_the_first_rows_as_json(upload: Callable[..., Table], profile_task: MakeTask) -> None:
    task = profile_task(b"d,t,n\n2026-01-31," + b"x" * 5_000 + b",\n2026-02-01,y,9007199254740993\n", preview_rows=1)

    profile(task, SilentReport())

    preview = json.loads((task.out_dir / "preview.json").read_text())
    assert preview["columns"] == ["d", "t", "n"]
    assert len(preview["rows"]) == 1
    day, text, number = preview["rows"][0]
    assert (day, number) == ("2026-01-31", None)
    assert len(text) < 1_000
    assert text.endswith("…")
