# ruff: noqa: S608 - identifiers here are `c0`, `c1`, … or quoted by `mill_trainer.duck`; the engine is sandboxed
"""CSV to canonical Parquet. DuckDB reads it as text, and every value must fit its column's shape on the way.

The shapes are guessed from the first rows and proven by all: a value that does not fit ends the statement, then the
whole file is looked at and written again. So most files are read once, and none by a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mill_contracts.tables import TableWarning
from mill_contracts.tasks import ProfileTask

from mill_trainer.duck import Duck, DuckError, name, text
from mill_trainer.parquet_files import arrow_type, write_batches
from mill_trainer.profile.canonical import Canonical, Column
from mill_trainer.profile.csv_scan import scan
from mill_trainer.profile.csv_strict import rewrite
from mill_trainer.profile.header import Header, read_header
from mill_trainer.profile.problems import NoRows, UnreadableTable
from mill_trainer.profile.shapes import Seen, glance, look, typed
from mill_trainer.profile.source import Source
from mill_trainer.reporting import Report
from mill_trainer.shape import Shape

GLANCE_ROWS = 50
SAMPLE_ROWS = 2_000
ROWS_PER_BATCH = 50_000
DEFAULT_LINE_BYTES = 2**21


@dataclass(frozen=True)
class _Plain:
    """A file whose structure is proven, so that DuckDB may read it."""

    path: Path
    header: Header
    rows: int
    blank: int
    longest_record: int
    windows_line_ends: bool

    @property
    def columns(self) -> list[str]:
        return [f"c{index}" for index in range(len(self.header.names))]

    def relation(self) -> str:
        columns = ", ".join(f"{text(column)}: 'VARCHAR'" for column in self.columns)
        options = [
            text(str(self.path)),
            f"delim = {text(self.header.delimiter)}",
            "quote = '\"', escape = '\"', header = true, auto_detect = false, strict_mode = true",
            f"columns = {{{columns}}}",
        ]
        if not self.windows_line_ends:
            options.append("new_line = '\\n'")
        if self.longest_record > DEFAULT_LINE_BYTES // 2:
            options.append(f"max_line_size = {2 * self.longest_record}, buffer_size = {8 * self.longest_record}")
        return f"read_csv({', '.join(options)})"


def read_csv(
    task: ProfileTask, source: Source, duck: Duck, target: Path, report: Report, keep_text: frozenset[str]
) -> Canonical:
    """Write the canonical Parquet of a CSV, or raise what is wrong with it, by line and column."""
    header = read_header(task, source.path, source.skip)
    plain = _prove(task, source, header)
    report.progress(0.2)
    if plain.rows == 0:
        raise NoRows.at("The file has a header and no rows. Add at least one row.", line=header.line)
    report.stage("converting")
    seen = _convert(task, source, plain, duck, target, keep_text)
    columns = tuple(Column(title, each.shape) for title, each in zip(header.names, seen, strict=True))
    return Canonical(columns, plain.rows, tuple(_warnings(plain, seen)), header.delimiter)


def _prove(task: ProfileTask, source: Source, header: Header) -> _Plain:
    structure = scan(source.path, source.skip, header)
    width = len(header.names)
    small_cells = structure.longest_record <= task.max_cell_bytes
    if not (structure.is_certain(width) and small_cells and header.line == 1):
        return _strict(task, source, header)
    blank = structure.blank if width > 1 else 0
    rows = structure.records - blank - 1
    return _Plain(source.path, header, rows, blank, structure.longest_record, structure.returns > 0)


def _strict(task: ProfileTask, source: Source, header: Header) -> _Plain:
    target = task.scratch_dir / "strict.csv"
    copy = rewrite(source.path, source.skip, target, header, task.max_cell_bytes)
    return _Plain(target, header, copy.rows, copy.blank, copy.longest_record, windows_line_ends=False)


def _convert(
    task: ProfileTask, source: Source, plain: _Plain, duck: Duck, target: Path, keep_text: frozenset[str]
) -> list[Seen]:
    try:
        return _guess_and_write(plain, duck, target, keep_text)
    except DuckError as error:
        if plain.path != source.path:
            raise UnreadableTable(_NOT_EXPLAINED) from error
    return _guess_and_write(_strict(task, source, plain.header), duck, target, keep_text)


_NOT_EXPLAINED = "The CSV could not be read, though its rows look well formed. Write it again as plain UTF-8 CSV."


def _guess_and_write(plain: _Plain, duck: Duck, target: Path, keep_text: frozenset[str]) -> list[Seen]:
    relation = plain.relation()
    duck.run(f"CREATE OR REPLACE TEMP TABLE sample AS SELECT * FROM {relation} LIMIT {SAMPLE_ROWS}")
    first = glance(duck.rows(f"SELECT * FROM sample LIMIT {GLANCE_ROWS}"))
    text_only = Seen((Shape.TEXT,), blanks=False)
    known = [text_only if title in keep_text else each for title, each in zip(plain.header.names, first, strict=True)]
    seen = look(duck, "sample", plain.columns, known)
    duck.run("DROP TABLE sample")
    if plain.rows > SAMPLE_ROWS:
        try:
            _write(plain, relation, seen, duck, target, proven=False)
        except DuckError:
            seen = look(duck, relation, plain.columns, seen)
        else:
            return seen
    _write(plain, relation, seen, duck, target, proven=True)
    return seen


def _write(plain: _Plain, relation: str, seen: Sequence[Seen], duck: Duck, target: Path, *, proven: bool) -> None:
    values = [typed(column, each, proven=proven) for column, each in zip(plain.columns, seen, strict=True)]
    names = plain.header.names
    if len({title.lower() for title in names}) < len(names):
        aliased = ", ".join(f"{value} AS {column}" for value, column in zip(values, plain.columns, strict=True))
        batches = duck.batches(f"SELECT {aliased} FROM {relation}", ROWS_PER_BATCH)
        rows = write_batches(batches, names, [arrow_type(each.shape) for each in seen], target)
    else:
        aliased = ", ".join(f"{value} AS {name(title)}" for value, title in zip(values, names, strict=True))
        copy = f"COPY (SELECT {aliased} FROM {relation}) TO {text(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        rows = duck.row(copy)[0]
    if rows != plain.rows:
        raise DuckError(f"read {rows} rows of {plain.rows}")


def _warnings(plain: _Plain, seen: Sequence[Seen]) -> list[TableWarning]:
    found: list[TableWarning] = []
    names = plain.header.names
    if plain.blank:
        count = (
            "1 blank line; it is not a row." if plain.blank == 1 else f"{plain.blank:,} blank lines; they are not rows."
        )
        detail = f"The file has {count}"
        found.append(TableWarning(code="blank-lines", detail=detail))
    if all(_is_number(title) for title in names):
        detail = "The first line holds only numbers; it was read as the column names. Does the file lack a header?"
        found.append(TableWarning(code="header-looks-like-data", detail=detail))
    blank_names = [title for title in names if title != title.strip()]
    if blank_names:
        shown = ", ".join(repr(title[:40]) for title in blank_names[:3])
        detail = (
            f"{len(blank_names):,} column names have blanks around them, such as {shown}; they are part of the name."
        )
        found.append(TableWarning(code="blanks-in-column-names", detail=detail))
    for title, each in zip(names, seen, strict=True):
        if each.blanks and each.shape not in (Shape.TEXT, Shape.EMPTY):
            detail = f"Values of {title!r} have blanks around them; they were read as {each.shape.kind} without them."
            found.append(TableWarning(code="surrounding-whitespace", column=title, detail=detail))
        if each.shape is Shape.ZONED:
            detail = f"The moments of {title!r} carry time zones; they are kept as moments in UTC."
            found.append(TableWarning(code="zones-converted", column=title, detail=detail))
    return found


def _is_number(title: str) -> bool:
    try:
        float(title)
    except ValueError:
        return False
    return True
