"""One look at every byte of a CSV before DuckDB reads it: is it UTF-8 text, and is its structure beyond doubt?

DuckDB's reader quietly accepts some files it should not (a trailing delimiter, a space before a quote, mixed line
ends), so a file goes straight to it only when this scan proves the structure; any other takes the strict road of
`csv_strict`, which names the line of what is wrong or writes an unambiguous copy. NumPy does the looking, at about
the speed of the disk.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mill_trainer.profile.header import Header, column_at
from mill_trainer.profile.problems import CellTooLarge, NotUtf8, NulByte

CHUNK_BYTES = 2**23
LONGEST_PLAIN_RECORD = 2**20
LONGEST_LINE = 2**26

Bytes = NDArray[np.uint8]
NEWLINE, RETURN, QUOTE = 10, 13, 34


@dataclass
class Structure:
    """What was counted outside quotes (`quoted_ends`: line feeds and returns inside). `plain` stays true while every byte
    fits an unambiguous CSV.
    """

    records: int = 0
    blank: int = 0
    delimiters: int = 0
    newlines: int = 0
    returns: int = 0
    lone_returns: int = 0
    quoted_ends: int = 0
    longest_record: int = 0
    plain: bool = True

    def is_certain(self, columns: int) -> bool:
        """Whether DuckDB may read the file as it is; it checks each row for cells missing, the sum finds those too many."""
        one_line_end = self.lone_returns == 0 and self.returns in (0, self.newlines)
        windows_inside = self.returns > 0 and self.quoted_ends > 0  # DuckDB loses its way in these
        blank = self.blank if columns > 1 else 0
        even = self.delimiters == (self.records - blank) * (columns - 1)
        short = self.longest_record <= LONGEST_PLAIN_RECORD
        return self.plain and one_line_end and not windows_inside and even and short


def scan(path: Path, skip: int, header: Header) -> Structure:
    """Read the whole file once. Refuses bytes that are not UTF-8, NUL characters and endless lines."""
    scanner = _Scanner(ord(header.delimiter))
    carry, line = b"", 1
    with path.open("rb") as file:
        file.seek(skip)
        while chunk := file.read(CHUNK_BYTES):
            end = chunk.rfind(b"\n") + 1
            block, carry = (carry + chunk[:end], chunk[end:]) if end else (b"", carry + chunk)
            if len(carry) > LONGEST_LINE:
                at = line + block.count(b"\n")
                detail = f"Line {at} is longer than {LONGEST_LINE // 2**20} MiB. Is this a table?"
                raise CellTooLarge.at(detail, line=at)
            if block:
                check_text(block, line, header)
                line += scanner.feed(block)
    if carry:
        check_text(carry, line, header)
        scanner.feed(carry)
    return scanner.finish()


def check_text(block: bytes, line: int, header: Header | None = None) -> None:
    """Refuse a block of whole lines, the first being `line`, that is not UTF-8 or holds a NUL; a CSV's header names the column."""
    zero = block.find(b"\0")
    if zero >= 0:
        at, _, column = _place(block, zero, line, header)
        detail = f"Line {at} holds a NUL character. Remove it: the file is damaged or not text."
        raise NulByte.at(detail, line=at, column=column)
    if block.isascii():
        return
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        at, byte, column = _place(block, error.start, line, header)
        detail = (
            f"Line {at}, byte {byte}: the byte 0x{block[error.start]:02x} is not UTF-8. "
            "The file may be Latin-1 or Windows-1252; save it as UTF-8 and upload it again."
        )
        raise NotUtf8.at(detail, line=at, column=column) from error


def _place(block: bytes, position: int, line: int, header: Header | None) -> tuple[int, int, str | None]:
    """Line, byte of the line (both 1-based) and column of a position in a block that begins with `line`."""
    start = block.rfind(b"\n", 0, position) + 1
    column = column_at(header, block[start:position]) if header is not None else None
    return line + block.count(b"\n", 0, position), position - start + 1, column


class _Scanner:
    """Feeds on blocks that end with a line end; a quoted cell may span several."""

    def __init__(self, delimiter: int) -> None:
        self._delimiter = delimiter
        self._found = Structure()
        self._allowed = np.zeros(256, dtype=np.bool_)
        self._allowed[[delimiter, NEWLINE, RETURN, QUOTE]] = True
        self._inside = False
        self._open_bytes = 0

    def feed(self, block: bytes) -> int:
        """Count one block; gives the lines in it."""
        data: Bytes = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == NEWLINE)
        lines = len(ends)
        found = self._found
        if not found.plain:
            return lines
        if self._inside or QUOTE in block:
            outside = self._outside(data)
            found.quoted_ends += lines + block.count(RETURN)
            ends = ends[outside[ends]]
            found.delimiters += int(np.count_nonzero((data == self._delimiter) & outside))
            returns = np.flatnonzero((data == RETURN) & outside)
            found.quoted_ends -= len(ends) + len(returns)
        else:
            found.delimiters += block.count(self._delimiter)
            returns = np.flatnonzero(data == RETURN) if RETURN in block else np.empty(0, dtype=np.intp)
        self._count_returns(data, returns)
        self._count_records(data, ends)
        return lines

    def finish(self) -> Structure:
        if self._open_bytes:
            self._found.records += 1
        if self._inside:
            self._found.plain = False
        return self._found

    def _outside(self, data: Bytes) -> NDArray[np.bool_]:
        """Which bytes stand outside quotes; notes when a quote stands where an unambiguous file has none."""
        is_quote = data == QUOTE
        places = np.flatnonzero(is_quote)
        first = int(self._inside)  # quotes open and close by turns; a block may begin inside a cell
        opening, closing = places[first::2], places[1 - first :: 2]
        before = data[opening[opening > 0] - 1]  # at the edges of a block stands a line end
        after = data[closing[closing < len(data) - 1] + 1]
        allowed = self._allowed[before].all() and self._allowed[after].all()
        self._found.plain = self._found.plain and bool(allowed)
        parity: Bytes = np.bitwise_xor.accumulate(is_quote.view(np.uint8))
        outside = parity == first
        self._inside = self._inside != (len(places) % 2 == 1)
        return outside

    def _count_returns(self, data: Bytes, returns: NDArray[np.intp]) -> None:
        if not len(returns):
            return
        last = int(returns[-1]) == len(data) - 1  # only at the end of the file: a block ends with a line feed
        paired = int(np.count_nonzero(data[(returns[:-1] if last else returns) + 1] == NEWLINE))
        self._found.returns += paired
        self._found.lone_returns += len(returns) - paired

    def _count_records(self, data: Bytes, ends: NDArray[np.intp]) -> None:
        found = self._found
        if not len(ends):
            self._open_bytes += len(data)
            found.longest_record = max(found.longest_record, self._open_bytes)
            return
        lengths = np.diff(ends, prepend=-1)
        lengths[0] += self._open_bytes
        blank = (lengths == 1) | ((lengths == 2) & (data[ends - 1] == RETURN))
        found.records += len(ends)
        found.newlines += len(ends)
        found.blank += int(np.count_nonzero(blank))
        found.longest_record = max(found.longest_record, int(lengths.max()))
        self._open_bytes = len(data) - 1 - int(ends[-1])
