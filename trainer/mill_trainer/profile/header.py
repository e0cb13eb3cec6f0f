"""The first line of a CSV: which delimiter it uses and what the columns are called. Column names of all formats meet here.

The delimiter is chosen by rule, not by chance: of comma, semicolon, tab and pipe, the one that splits the header and
most of the first rows into the same number of cells; comma where none does.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mill_contracts.tasks import ProfileTask

from mill_trainer.profile.problems import (
    ColumnNameTooLong,
    DuplicateColumnName,
    EmptyColumnName,
    NotATable,
    TableProblem,
    TooManyColumns,
    place,
)

DELIMITERS = (",", ";", "\t", "|")
HEAD_BYTES = 2**20
ROWS_LOOKED_AT = 200
LONGEST_NAME = 256


@dataclass(frozen=True)
class Header:
    """`line` is where the header stands: blank lines may come before it."""

    names: tuple[str, ...]
    delimiter: str
    line: int


def read_header(task: ProfileTask, path: Path, skip: int) -> Header:
    """Delimiter and names, from the first mebibyte."""
    with path.open("rb") as file:
        file.seek(skip)
        head = file.read(HEAD_BYTES)
        more = bool(file.read(1))
    if more and not any(mark in head for mark in (b"\n", b"\r")):
        raise NotATable.at("The first line is longer than 1 MiB, so it cannot be a header of column names.", line=1)
    text = head.decode("utf-8", errors="replace")
    delimiter = _choose(text, complete=not more)
    line, names = _first_row(text, delimiter)
    check_names(names, max_columns=task.max_columns, line=line)
    return Header(tuple(names), delimiter, line)


def column_at(header: Header, start_of_line: bytes) -> str | None:
    """The column in which a line stands after these bytes of it; for messages about bytes that cannot be read."""
    text = start_of_line.decode("utf-8", errors="replace")
    cells = next(csv.reader([text], delimiter=header.delimiter), [""])
    return header.names[len(cells) - 1] if len(cells) <= len(header.names) else None


def check_names(names: Sequence[str], *, max_columns: int, line: int | None) -> None:
    """Refuse what cannot be a set of column names; `line` is where a CSV's header stands."""
    if len(names) > max_columns:
        raise TooManyColumns.at(
            f"The table has {len(names):,} columns; at most {max_columns:,} are read. Leave out what no model needs.",
            line=line,
        )
    places: dict[type[TableProblem], list[dict[str, object]]] = {}
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if not name.strip():
            detail = f"Column {position} has no name. Name it; if it is a saved row index, write the table without it."
            places.setdefault(EmptyColumnName, []).append(place(detail, line=line, column=name or f"#{position}"))
        elif len(name) > LONGEST_NAME:
            detail = f"The name of column {position} has {len(name):,} characters; at most {LONGEST_NAME} are kept."
            places.setdefault(ColumnNameTooLong, []).append(place(detail, line=line, column=name[:50]))
        elif name in seen:
            detail = f"Columns {seen[name]} and {position} are both called {name!r}. Give each its own name."
            places.setdefault(DuplicateColumnName, []).append(place(detail, line=line, column=name))
        seen.setdefault(name, position)
    for problem, errors in places.items():
        raise problem(str(errors[0]["detail"]), errors=errors[:10])


def _choose(text: str, *, complete: bool) -> str:
    best, best_score = DELIMITERS[0], (0.0, 1)
    for delimiter in DELIMITERS:
        widths = _widths(text, delimiter, complete=complete)
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _widths(text: str, delimiter: str, *, complete: bool) -> list[int]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    widths: list[int] = []
    try:
        widths.extend(len(row) for row in islice(reader, ROWS_LOOKED_AT) if row)
    except csv.Error:
        return widths
    if not complete and len(widths) > 1 and len(widths) < ROWS_LOOKED_AT:
        widths.pop()  # the head may end in the middle of a row
    return widths


def _first_row(text: str, delimiter: str) -> tuple[int, list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    try:
        for row in reader:
            if row:
                return before + 1, row
            before = reader.line_num
    except csv.Error as error:
        detail = "The header holds a value of more than 128 KiB. The first line must be the column names."
        raise NotATable.at(detail, line=before + 1) from error
    raise NotATable.at("The file has no header line. The first line must be the column names.", line=1)
