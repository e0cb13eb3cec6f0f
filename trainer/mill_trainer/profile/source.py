"""What the uploaded file is: format and compression by content first, by name second; packed or UTF-16 text is unpacked.

Everything that differs from plain UTF-8 text or Parquet is said in a warning, and what cannot be read is refused.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mill_contracts.tables import TableWarning
from mill_contracts.tasks import ProfileTask, TableFormat

from mill_trainer.profile.problems import (
    BrokenParquet,
    EmptyFile,
    NotATable,
    NotUtf8,
    TruncatedFile,
    UnpacksTooLarge,
)

HEAD_BYTES = 2**16
CHUNK_BYTES = 2**22
GZIP_MARK = b"\x1f\x8b"
PARQUET_MARK = b"PAR1"
SMALLEST_PARQUET_BYTES = 12

OTHER_FILES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office document; save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard; unpack it or use gzip"),
    (b"BZh", "packed with bzip2; unpack it or use gzip"),
    (b"\xfd7zXZ", "packed with xz; unpack it or use gzip"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
    (b"ORC", "an ORC file; save it as Parquet"),
    (GZIP_MARK, "gzip inside gzip; pack it once"),
)

BYTE_ORDER_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Source:
    """A plain file on disk: Parquet, or UTF-8 text whose first `skip` bytes are a byte-order mark."""

    path: Path
    format: TableFormat
    compression: str | None = None
    encoding: str | None = None
    skip: int = 0
    warnings: tuple[TableWarning, ...] = ()


def open_source(task: ProfileTask) -> Source:
    """Say what the file is, unpacking it into the scratch folder where needed."""
    path, compression = task.raw_file, None
    head = _head(path)
    if not head:
        raise EmptyFile("The file has no content. Upload a file with a header line and at least one row.")
    if head.startswith(GZIP_MARK):
        path, compression = _unpack(task), "gzip"
        head = _head(path)
        if not head:
            raise EmptyFile("The packed file has no content. Upload a file with a header line and at least one row.")
    if _is_parquet(path, head, task):
        if compression is not None:
            raise NotATable("Parquet inside gzip is not read: Parquet is packed already. Upload the .parquet file.")
        return Source(path, "parquet")
    return _text_source(task, path, compression, head)


def _head(path: Path, size: int = HEAD_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _is_parquet(path: Path, head: bytes, task: ProfileTask) -> bool:
    marked = head.startswith(PARQUET_MARK)
    named = task.declared_format == "parquet" or task.file_name.lower().endswith((".parquet", ".pq"))
    if marked:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(size - len(PARQUET_MARK), 0))
            if size < SMALLEST_PARQUET_BYTES or file.read() != PARQUET_MARK:
                raise TruncatedFile(
                    "The Parquet file begins well but its end is missing. Upload it again, or write it again."
                )
    elif named and task.declared_format in (None, "parquet"):
        raise BrokenParquet("The file is called Parquet but does not begin as one. Check what it really is.")
    return marked


def _text_source(task: ProfileTask, path: Path, compression: str | None, head: bytes) -> Source:
    warnings: list[TableWarning] = []
    encoding, skip = "utf-8", 0
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            path = _transcode(task, path, name, len(mark))
            head, encoding = _head(path), name
            detail = f"The text is {name.upper()} by its byte-order mark; it was read as such and is kept as UTF-8."
            warnings.append(TableWarning(code="encoding-converted", detail=detail))
            break
    else:
        _refuse_other_files(head)
    if head.startswith(codecs.BOM_UTF8):
        skip, encoding = len(codecs.BOM_UTF8), "utf-8-sig"
        detail = "The text begins with a byte-order mark; it is not part of the first column's name."
        warnings.append(TableWarning(code="byte-order-mark", detail=detail))
    if not head[skip:].strip():
        raise EmptyFile("The file holds only blank space. Upload a file with a header line and at least one row.")
    table_format = _text_format(task, head[skip:])
    return Source(path, table_format, compression, encoding, skip, tuple(warnings))


def _refuse_other_files(head: bytes) -> None:
    for mark, what in OTHER_FILES:
        if head.startswith(mark):
            raise NotATable(f"The file is {what}. Tables are CSV, JSON, NDJSON (each may be gzipped) or Parquet.")
    pairs = head[: len(head) // 2 * 2]
    for first, name in ((1, "UTF-16-LE"), (0, "UTF-16-BE")):
        zeros = pairs[first::2].count(0)
        if zeros > 0.4 * len(pairs) / 2 and pairs[1 - first :: 2].count(0) == 0:
            raise NotUtf8.at(f"The text looks like {name} without a byte-order mark. Save it as UTF-8.", line=1)
    if len(_CONTROL_BYTES.findall(head)) > max(2, len(head) // 50):
        raise NotATable("The file holds binary data, not text. Tables are CSV, JSON, NDJSON or Parquet.")


def _text_format(task: ProfileTask, head: bytes) -> TableFormat:
    """By content where JSON shows itself; the name decides what looks like neither."""
    start = head.lstrip()[:1]
    if start == b"[" and re.match(rb"\s*\[\s*(?:[{\]]|$)", head):
        return "json"
    if start == b"{" and (_is_json_object(head.lstrip().split(b"\n", 1)[0]) or _named(task) != "csv"):
        return "ndjson"
    return _named(task)


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
    except RecursionError:
        return True


def _named(task: ProfileTask) -> TableFormat:
    if task.declared_format in ("json", "ndjson", "csv"):
        return task.declared_format
    name = task.file_name.lower().removesuffix(".gz")
    if name.endswith(".json"):
        return "json"
    if name.endswith((".ndjson", ".jsonl")):
        return "ndjson"
    return "csv"


def _unpack(task: ProfileTask) -> Path:
    target = task.scratch_dir / "unpacked"
    try:
        with gzip.open(task.raw_file) as packed, target.open("wb") as plain:
            _copy_up_to(iter(lambda: packed.read(CHUNK_BYTES), b""), plain, task.max_unpacked_bytes)
    except EOFError as error:
        raise TruncatedFile("The gzip file ends too early. Upload it again, or pack it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TruncatedFile("The gzip file is damaged. Upload it again, or pack it again.") from error
    return target


def _copy_up_to(chunks: Iterator[bytes], target: BinaryIO, limit: int) -> None:
    written = 0
    for chunk in chunks:
        written += len(chunk)
        if written > limit:
            raise UnpacksTooLarge(
                f"The file unpacks to more than {limit // 2**20} MiB, the limit. Split it into smaller files."
            )
        target.write(chunk)


def _transcode(task: ProfileTask, path: Path, encoding: str, skip: int) -> Path:
    target = task.scratch_dir / "transcoded"
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    with path.open("rb") as source, target.open("wb") as plain:
        source.seek(skip)
        _copy_up_to(_decoded(source, decoder, encoding), plain, task.max_unpacked_bytes)
    return target


def _decoded(source: BinaryIO, decoder: codecs.IncrementalDecoder, encoding: str) -> Iterator[bytes]:
    line = 1
    while True:
        chunk = source.read(CHUNK_BYTES)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            near = line + error.object[: error.start].decode(encoding, errors="replace").count("\n")
            detail = f"The text is marked {encoding.upper()} but breaks at line {near}. Save it as UTF-8."
            raise NotUtf8.at(detail, line=near) from error
        line += text.count("\n")
        if text:
            yield text.encode()
        if not chunk:
            return
