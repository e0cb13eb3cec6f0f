"""The rows of a JSON array or of NDJSON, one at a time, each with its line. Strict: what JSON leaves open is refused.

Duplicate keys, NaN and Infinity, lone surrogates and NUL characters are accepted by most readers in silence; here they
are an error on a line.
"""

import codecs
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NoReturn, cast

from mill_trainer.profile.csv_scan import check_text
from mill_trainer.profile.problems import BrokenJson, CellTooLarge, NotFinite, NotUtf8, NulByte

CHUNK_CHARACTERS = 2**22
LONGEST_RECORD = 2**26

Record = dict[str, object]


class _DuplicateKeyError(ValueError):
    pass


class _ConstantError(ValueError):
    pass


def ndjson_records(path: Path, skip: int) -> Iterator[tuple[int, Record]]:
    """One object per line; blank lines are passed over."""
    decoder = _decoder()
    with path.open("rb") as file:
        file.seek(skip)
        line = 0
        while raw := file.readline(LONGEST_RECORD + 1):
            line += 1
            if len(raw) > LONGEST_RECORD:
                _refuse_long(line)
            check_text(raw, line)
            text = raw.decode().strip()
            if text:
                yield line, _whole(decoder, text, line)


def array_records(path: Path, skip: int) -> Iterator[tuple[int, Record]]:
    """The objects of one array, read in pieces; the whole array is never in memory."""
    return _ArrayReader(path, skip).records()


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def _object(pairs: list[tuple[str, object]]) -> Record:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise _ConstantError(constant)


def _whole(decoder: json.JSONDecoder, text: str, line: int) -> Record:
    value, end = _value(decoder, text, 0, line)
    if text[end:].strip():
        detail = f"Line {line} goes on after its object, at character {end + 1}. Write one object per line."
        raise BrokenJson.at(detail, line=line)
    return value


def _value(decoder: json.JSONDecoder, text: str, start: int, line: int) -> tuple[Record, int]:
    try:
        found: object
        found, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        at = line + text.count("\n", start, error.pos)
        raise BrokenJson.at(f"Line {at}: {error.msg} (character {error.colno}). Mend the line.", line=at) from error
    except _DuplicateKeyError as error:
        detail = f"Line {line}: the key {str(error)!r} stands twice in one object. Keep one of them."
        raise BrokenJson.at(detail, line=line, column=str(error)) from error
    except _ConstantError as error:
        detail = f"Line {line}: {error} is not a JSON number. Write null for a missing value."
        raise NotFinite.at(detail, line=line) from error
    except RecursionError as error:
        raise BrokenJson.at(f"Line {line} is nested too deeply. Flatten it.", line=line) from error
    except ValueError as error:
        raise BrokenJson.at(f"Line {line} holds a number of too many digits. Write it as text.", line=line) from error
    if not isinstance(found, dict):
        detail = f'Line {line}: a row must be an object of column names and values, such as {{"age": 39}}.'
        raise BrokenJson.at(detail, line=line)
    value = cast("Record", found)
    if "\\u" in text[start:end]:
        _check_escapes(text[start:end], value, line)
    return value, end


def _check_escapes(text: str, value: Record, line: int) -> None:
    if "\\u0000" in text:
        raise NulByte.at(f"Line {line} holds a NUL character (\\u0000). Remove it.", line=line)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        detail = f"Line {line} holds half of a surrogate pair, which is no character. Remove it."
        raise BrokenJson.at(detail, line=line) from error


def _refuse_long(line: int) -> NoReturn:
    raise CellTooLarge.at(f"Line {line}: one row is larger than {LONGEST_RECORD // 2**20} MiB.", line=line)


class _ArrayReader:
    """A window over the text that grows while a value is incomplete."""

    def __init__(self, path: Path, skip: int) -> None:
        self._path = path
        self._skip = skip
        self._text = ""
        self._position = 0
        self._line = 1

    def records(self) -> Iterator[tuple[int, Record]]:
        decoder = _decoder()
        with self._path.open("rb") as file:
            file.seek(self._skip)
            pieces = self._pieces(iter(lambda: file.read(CHUNK_CHARACTERS), b""))
            self._expect(pieces, "[", "The file must be an array of objects: [{…}, {…}].")
            if self._peek(pieces) == "]":
                self._position += 1
            else:
                yield from self._objects(decoder, pieces)
            if self._peek(pieces):
                detail = f"Line {self._line}: something follows the array. Keep only the array."
                raise BrokenJson.at(detail, line=self._line)

    def _objects(self, decoder: json.JSONDecoder, pieces: Iterator[str]) -> Iterator[tuple[int, Record]]:
        while True:
            if not self._peek(pieces):
                self._refuse_end()
            line = self._line
            yield line, self._next_value(decoder, pieces)
            if self._peek(pieces) == "]":
                self._position += 1
                return
            self._expect(pieces, ",", "Objects of an array are parted by commas.")

    def _next_value(self, decoder: json.JSONDecoder, pieces: Iterator[str]) -> Record:
        while True:
            try:
                value, end = _value(decoder, self._text, self._position, self._line)
            except BrokenJson:
                if len(self._text) - self._position > LONGEST_RECORD or not self._grow(pieces):
                    raise
            else:
                self._line += self._text.count("\n", self._position, end)
                self._position = end
                return value

    def _peek(self, pieces: Iterator[str]) -> str:
        """The next character that is not blank, or nothing at the end."""
        while True:
            while self._position < len(self._text):
                character = self._text[self._position]
                if character not in " \t\r\n":
                    return character
                self._line += character == "\n"
                self._position += 1
            if not self._grow(pieces):
                return ""

    def _expect(self, pieces: Iterator[str], wanted: str, otherwise: str) -> None:
        found = self._peek(pieces)
        if not found:
            self._refuse_end()
        if found != wanted:
            detail = f"Line {self._line}: expected {wanted!r} and found {found!r}. {otherwise}"
            raise BrokenJson.at(detail, line=self._line)
        self._position += 1

    def _refuse_end(self) -> NoReturn:
        detail = f"The file ends on line {self._line} before the array is closed. Upload it whole."
        raise BrokenJson.at(detail, line=self._line)

    def _grow(self, pieces: Iterator[str]) -> bool:
        piece = next(pieces, "")
        self._text = self._text[self._position :] + piece
        self._position = 0
        return bool(piece)

    def _pieces(self, chunks: Iterator[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        line = 1
        for chunk in chain(chunks, (b"",)):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = line + error.object.count(b"\n", 0, error.start)
                detail = f"Line {at}: the byte 0x{error.object[error.start]:02x} is not UTF-8. Save the file as UTF-8."
                raise NotUtf8.at(detail, line=at) from error
            line += text.count("\n")
            if text:
                yield text
