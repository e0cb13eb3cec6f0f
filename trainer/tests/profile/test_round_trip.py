"""Whatever text stands in a well-formed CSV comes out of the Parquet as it was, row by row; ragged files never pass."""

import csv
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mill_contracts.tasks import ProfileTask
from mill_kit.problems import Problem
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

Read = Callable[[Path], dict[str, list[Any]]]

CELLS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12),
    st.text("ab,;|\t\"' \r\n0", max_size=8),
    st.sampled_from(["", " ", '"', '""', "\r\n", "\n", "\r", ",", "007", "1", "-1.5", "true", "2026-01-31", "=1", "#"]),
)
TABLES = st.integers(min_value=2, max_value=4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6)
)
MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def profiled(content: bytes, read_parquet: Read) -> dict[str, list[Any]]:
    home = Path(tempfile.mkdtemp())
    try:
        raw = home / "raw.csv"
        raw.write_bytes(content)
        task = ProfileTask(raw_file=raw, out_dir=home / "out", scratch_dir=home / "scratch", file_name="raw.csv")
        task.out_dir.mkdir()
        task.scratch_dir.mkdir()
        profile(task, SilentReport())
        return read_parquet(task.out_dir / "data.parquet")
    finally:
        shutil.rmtree(home)


@MODEST
@given(
    rows=TABLES,
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quote_all=st.booleans(),
)
def test_text_comes_back_as_it_was(
    rows: list[list[str]], delimiter: str, line_end: str, quote_all: bool, read_parquet: Read
) -> None:
    width = len(rows[0])
    names = [f"column {index}" for index in range(width)]
    written = io.StringIO(newline="")
    writer = csv.writer(
        written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    # Python 3.11 leaves a lone carriage return bare under QUOTE_MINIMAL, which no reader can tell from a line end.
    writer.writerow(names)
    text_row = ["word", *["text"] * (width - 1)]
    rows = [[cell if quote_all else cell.replace("\r", "") for cell in row] for row in rows]
    writer.writerows([*rows, text_row])

    table = profiled(written.getvalue().encode(), read_parquet)

    expected = [[cell or None for cell in row] for row in [*rows, text_row]]
    assert [list(row) for row in zip(*table.values(), strict=True)] == expected
    assert list(table) == names


@MODEST
@given(content=st.text('ab1,"\n\r ;', max_size=40))
def test_any_text_is_read_whole_or_refused(content: str, read_parquet: Read) -> None:
    try:
        table = profiled(content.encode(), read_parquet)
    except Problem as problem:
        assert problem.status == 422  # noqa: PT017 - a refusal is one of two right answers here
        return
    rows = [row for row in csv.reader(io.StringIO(content, newline=""), delimiter=_delimiter(content, table)) if row]
    assert list(table) == rows[0]
    if len(rows[0]) > 1:
        assert len(next(iter(table.values()))) == len(rows) - 1


def _delimiter(content: str, table: dict[str, list[Any]]) -> str:
    first = next(row for row in csv.reader(io.StringIO(content, newline=""), delimiter=",") if row)
    return "," if first == list(table) else ";"


@MODEST
@given(
    numbers=st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.none()), min_size=1, max_size=30).filter(
        lambda values: any(value is not None for value in values)
    )
)
def test_integers_come_back_exactly(numbers: list[int | None], read_parquet: Read) -> None:
    content = "n,k\n" + "".join(f"{'' if number is None else number},x\n" for number in numbers)

    assert profiled(content.encode(), read_parquet)["n"] == numbers


@MODEST
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_floats_come_back_to_the_last_bit(numbers: list[float], read_parquet: Read) -> None:
    content = "n,k\n" + "".join(f"{number!r},x\n" for number in [*numbers, 0.5])

    assert profiled(content.encode(), read_parquet)["n"] == pytest.approx([*numbers, 0.5], rel=0, abs=0)
