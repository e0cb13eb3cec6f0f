"""The strict road for a CSV that is odd or wrong: find what is wrong and its line, or write an unambiguous copy.

Python's own reader (RFC 4180, strict) decides. It is several times slower than DuckDB and only used when `csv_scan`
cannot vouch for the file or DuckDB refuses it.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mill_trainer.profile.header import Header
from mill_trainer.profile.problems import CellTooLarge, MisplacedQuote, RaggedRows, UnterminatedQuote, place

MOST_PLACES_NAMED = 10


@dataclass(frozen=True)
class Rewritten:
    """`longest_record` is in bytes, as DuckDB must know it."""

    rows: int
    blank: int
    longest_record: int


class _Tape:
    """Gives lines to the CSV reader and remembers those of the record at hand, so that a fault can be shown."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.record.append(line)
        return line


def rewrite(path: Path, skip: int, target: Path, header: Header, max_cell_bytes: int) -> Rewritten:
    """Copy every record with each cell quoted, or raise the first thing that is wrong, with its line."""
    csv.field_size_limit(max_cell_bytes)
    with path.open("rb") as raw, target.open("w", encoding="utf-8", newline="") as out:
        raw.seek(skip)
        tape = _Tape(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        reader = csv.reader(tape, delimiter=header.delimiter, strict=True)
        writer = csv.writer(out, delimiter=header.delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        copy = _Copy(header, max_cell_bytes)
        start = 1
        while True:
            tape.record.clear()
            try:
                row = next(reader, None)
            except csv.Error as error:
                _explain(error, "".join(tape.record), start, header, max_cell_bytes)
            if row is None:
                break
            if copy.accepts(row, start):
                writer.writerow(row or [""])
            start = reader.line_num + 1
        return copy.finish()


class _Copy:
    """Counts and checks the rows that pass by."""

    def __init__(self, header: Header, max_cell_bytes: int) -> None:
        self._header = header
        self._max_cell_bytes = max_cell_bytes
        self._width = len(header.names)
        self._records = 0
        self._blank = 0
        self._longest = 0
        self._ragged: list[dict[str, object]] = []

    def accepts(self, row: list[str], line: int) -> bool:
        """Whether the row is to be kept; blank lines of a table of several columns are not rows."""
        if not row and (self._width > 1 or line < self._header.line):
            self._blank += 1
            return False
        found = len(row) or 1
        if found != self._width:
            self._note_ragged(line, found)
        size = sum(map(len, row))
        if size > self._longest:
            self._check_cells(row, line)
        self._records += 1
        return True

    def finish(self) -> Rewritten:
        if self._ragged:
            self._refuse_ragged()
        return Rewritten(self._records - 1, self._blank, self._longest)

    def _check_cells(self, row: list[str], line: int) -> None:
        sizes = [len(cell.encode()) for cell in row]
        for name, size in zip(self._header.names, sizes, strict=False):
            if size > self._max_cell_bytes:
                _refuse_cell(line, name, self._max_cell_bytes)
        self._longest = max(self._longest, 2 * sum(sizes) + 3 * len(row) + 2)

    def _note_ragged(self, line: int, found: int) -> None:
        detail = f"Line {line} has {found} cells where the header has {self._width}."
        self._ragged.append(place(detail, line=line))
        if len(self._ragged) == MOST_PLACES_NAMED:
            self._refuse_ragged()

    def _refuse_ragged(self) -> NoReturn:
        first = self._ragged[0]["detail"]
        hint = "Quote values that hold the delimiter, and give every row every cell."
        raise RaggedRows(f"{first} The delimiter is {self._header.delimiter!r}. {hint}", errors=self._ragged)


def _explain(error: csv.Error, record: str, start: int, header: Header, max_cell_bytes: int) -> NoReturn:
    index, position = _fault(record, header.delimiter, max_cell_bytes)
    line = start + _line_ends(record[:position])
    column = header.names[index] if index < len(header.names) else None
    if "field larger" in str(error):
        _refuse_cell(line, column, max_cell_bytes)
    if "unexpected end of data" in str(error) or _line_ends(record.rstrip("\r\n")):
        detail = (
            f"The quote that opens on line {line} is never closed properly. Close it, or double quotes inside text."
        )
        raise UnterminatedQuote.at(detail, line=line, column=column) from error
    detail = f"Line {line}: text follows a closing quote. Double the quotes inside a quoted value."
    raise MisplacedQuote.at(detail, line=line, column=column) from error


def _refuse_cell(line: int, column: str | None, limit: int) -> NoReturn:
    detail = f"Line {line}, column {column!r}: the value is larger than {limit:,} bytes. Leave it out or shorten it."
    raise CellTooLarge.at(detail, line=line, column=column)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _fault(record: str, delimiter: str, limit: int) -> tuple[int, int]:
    """Index of the cell the reader stumbled over, and where it begins in the record."""
    index = position = 0
    while position < len(record):
        if record[position] == '"':
            end = _closing(record, position)
            if end < 0 or end - position > limit or record[end + 1 : end + 2] not in (delimiter, "\r", "\n", ""):
                return index, position
            end += 1
        else:
            end = record.find(delimiter, position)
            if end < 0 or end - position > limit:
                return index, position
        if record[end : end + 1] != delimiter:
            break
        index, position = index + 1, end + 1
    return index, min(position, len(record))


def _closing(record: str, opening: int) -> int:
    """Where the quote opened at `opening` closes, or -1; doubled quotes are text."""
    at = record.find('"', opening + 1)
    while at >= 0 and record[at + 1 : at + 2] == '"':
        at = record.find('"', at + 2)
    return at
