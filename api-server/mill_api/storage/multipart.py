"""A multipart body (RFC 7578) taken apart while it arrives: text fields are kept, the bytes of the one file are handed on.

Called by `storage.uploads`. Nothing is spooled; what a hostile body may make us hold is bounded.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from mill_api.storage.errors import MalformedUpload, NotMultipart

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_LONGEST_FIELD = 64 * 2**10
_MOST_PARTS = 64
_LONGEST_TYPE = 1_000
_LONGEST_BOUNDARY = 70
"""RFC 2046, 5.1.1."""


@dataclass
class _Part:
    name: str
    file_name: str | None
    value: bytearray = field(default_factory=bytearray)


class MultipartReader:
    """`feed` the body; `take` what has come of the file; afterwards `fields` and `file_name` tell the rest.

    Raises `MalformedUpload` for a body that breaks the rules, a second file, or fields out of bounds.
    """

    def __init__(self, content_type: str | None, file_field: str = "file") -> None:
        kind, options = parse_options_header(content_type) if len(content_type or "") <= _LONGEST_TYPE else (b"", {})
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= _LONGEST_BOUNDARY:
            raise NotMultipart("Send the table as multipart/form-data with a part named `file`")
        self.fields: dict[str, list[str]] = {}
        self.file_name: str | None = None
        self._file_field = file_field
        self._waiting = bytearray()
        self._part: _Part | None = None
        self._parts = 0
        self._complete = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._parser = MultipartParser(boundary, self._callbacks())

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise MalformedUpload(f"The multipart body is broken: {error}") from None

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting)

    def take(self) -> bytes:
        """The bytes of the file that arrived since the last call."""
        data, self._waiting = bytes(self._waiting), bytearray()
        return data

    def finish(self) -> None:
        """Raises `MalformedUpload` unless the body came to its end and held a file."""
        if not self._complete:
            raise MalformedUpload("The multipart body ended early; nothing was kept. Send it again")
        if self.file_name is None:
            raise MalformedUpload(
                "There is no file in the body",
                errors=[{"pointer": f"/{self._file_field}", "detail": "a file part is required"}],
            )

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise MalformedUpload(f"More than {_MOST_PARTS} parts")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = _text(options.get(b"name"))
        if name is None:
            raise MalformedUpload("A part has no name")
        file_name = _text(options.get(b"filename"))
        self._part = _Part(name, file_name)
        if file_name is None and name == self._file_field:
            raise MalformedUpload(
                "The part `file` holds no file", errors=[{"pointer": f"/{name}", "detail": "send it with a file name"}]
            )
        if file_name is not None:
            self._begin_file(name, file_name)

    def _begin_file(self, name: str, file_name: str) -> None:
        if name != self._file_field or self.file_name is not None:
            raise MalformedUpload(
                "One upload holds one file",
                errors=[{"pointer": f"/{name}", "detail": f"only one file, in the part `{self._file_field}`"}],
            )
        self.file_name = file_name

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:
            return
        if part.file_name is not None:
            self._waiting.extend(memoryview(data)[start:end])
        elif len(part.value) + end - start > _LONGEST_FIELD:
            raise MalformedUpload(
                f"The field {part.name[:64]!r} is too long",
                errors=[{"pointer": f"/{part.name[:64]}", "detail": f"at most {_LONGEST_FIELD} bytes"}],
            )
        else:
            part.value.extend(data[start:end])

    def _on_part_end(self) -> None:
        part, self._part = self._part, None
        if part is None or part.file_name is not None:
            return
        try:
            value = part.value.decode()
        except UnicodeDecodeError:
            raise MalformedUpload(
                "A field is not UTF-8", errors=[{"pointer": f"/{part.name[:64]}", "detail": "not UTF-8 text"}]
            ) from None
        self.fields.setdefault(part.name, []).append(value)

    def _on_end(self) -> None:
        self._complete = True


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
