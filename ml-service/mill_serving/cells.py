"""Numbers that count: float64 cells in memory, or in a file that the worker processes of one replica can read of each other.

`Statistics` is the caller. One process writes a file and any may read it. The counts of a worker that died stay in its file, and
the next worker in its place counts on, so that sums never go back.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

_NAMES = 1 << 20
_VALUES = 1 << 22
_WORD = 8

if TYPE_CHECKING:
    Cell: TypeAlias = memoryview[float]
else:
    Cell = memoryview  # Python 3.11 takes no subscript here
"""A few float64 that belong together: `cell[0] += 1` counts."""


class Cells:
    """Named groups of cells. Names are JSON lines at the beginning of the file, in the order of their values behind them."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self._buffer: memoryview | None = None
        else:
            self._buffer = _mapped(path)
        self._groups: dict[str, Cell] = {}
        self._text_end = self._value_end = 0
        if self._buffer is not None:
            for name, size, start, text_end in _entries(self._buffer):
                self._groups[name] = _values(self._buffer)[start : start + size]
                self._text_end, self._value_end = text_end, start + size

    def group(self, name: str, size: int) -> Cell:
        """The cells of this name, zeros at first. When the file is full they are counted, but seen by this process alone."""
        known = self._groups.get(name)
        if known is not None and len(known) == size:
            return known
        cell = self._in_file(self._buffer, name, size) if self._buffer is not None else None
        self._groups[name] = found = cell if cell is not None else memoryview(bytearray(size * _WORD)).cast("d")
        return found

    def groups(self) -> Mapping[str, Cell]:
        return self._groups

    def _in_file(self, buffer: memoryview, name: str, size: int) -> Cell | None:
        line = json.dumps([name, size]).encode() + b"\n"
        end = self._value_end + size
        if self._text_end + len(line) >= _NAMES or end * _WORD > _VALUES:
            return None
        cell = _values(buffer)[self._value_end : end]
        buffer[self._text_end : self._text_end + len(line)] = line
        self._text_end, self._value_end = self._text_end + len(line), end
        return cell


def read_cells(path: Path) -> dict[str, Cell]:
    """What another process counts: a view that follows it."""
    buffer = _mapped(path)
    return {name: _values(buffer)[start : start + size] for name, size, start, _ in _entries(buffer)}


def _mapped(path: Path) -> memoryview:
    with path.open("a+b") as file:
        file.truncate(_NAMES + _VALUES)
        return memoryview(mmap.mmap(file.fileno(), _NAMES + _VALUES))


def _values(buffer: memoryview) -> Cell:
    return buffer[_NAMES:].cast("d")


def _entries(buffer: memoryview) -> Iterator[tuple[str, int, int, int]]:
    """(name, size, first cell, where its line ends); a line half written by another process is left out."""
    text = bytes(buffer[:_NAMES]).split(b"\0", 1)[0]
    start = position = 0
    for line in text.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        position += len(line)
        name, size = json.loads(line)
        yield name, size, start, position
        start += size
