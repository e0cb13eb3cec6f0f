"""Every reason to refuse a table. Each names the line (1-based, in the file as uploaded) or the column, and what to do.

Invalid
└── TableProblem
    ├── EmptyFile, NoRows, NotATable, TruncatedFile, UnpacksTooLarge      the file as a whole
    ├── NotUtf8, NulByte                                                  its bytes
    ├── EmptyColumnName, DuplicateColumnName, ColumnNameTooLong, TooManyColumns
    ├── RaggedRows, UnterminatedQuote, MisplacedQuote, CellTooLarge       rows of a CSV
    ├── BrokenJson, BrokenParquet, UnsupportedColumn, NotFinite           the other formats
    └── UnreadableTable                                                   none of the above explains it
"""

from typing import Any, Self

from mill_kit.problems import Invalid


class TableProblem(Invalid):
    """The uploaded table cannot be read as it is; nothing of it is kept."""

    slug = "invalid-table"
    title = "The table cannot be read"

    @classmethod
    def at(cls, detail: str, *, line: int | None = None, column: str | None = None) -> Self:
        """A refusal with the one place to look at."""
        return cls(detail, errors=[place(detail, line=line, column=column)])


def place(detail: str, *, line: int | None = None, column: str | None = None) -> dict[str, Any]:
    """One entry of a problem's `errors`."""
    where: dict[str, Any] = {"detail": detail}
    if line is not None:
        where["line"] = line
    if column is not None:
        where["column"] = column
    return where


class EmptyFile(TableProblem):
    slug = "empty-file"
    title = "The file is empty"


class NoRows(TableProblem):
    slug = "no-rows"
    title = "The table has no rows"


class NotATable(TableProblem):
    slug = "not-a-table"
    title = "The file is not a table"


class TruncatedFile(TableProblem):
    slug = "truncated-file"
    title = "The file ends too early"


class UnpacksTooLarge(TableProblem):
    slug = "unpacks-too-large"
    title = "The file unpacks to more than is allowed"


class NotUtf8(TableProblem):
    slug = "not-utf8"
    title = "The text is not UTF-8"


class NulByte(TableProblem):
    slug = "nul-byte"
    title = "The text holds a NUL character"


class EmptyColumnName(TableProblem):
    slug = "empty-column-name"
    title = "A column has no name"


class DuplicateColumnName(TableProblem):
    slug = "duplicate-column-name"
    title = "Two columns have the same name"


class ColumnNameTooLong(TableProblem):
    slug = "column-name-too-long"
    title = "A column's name is too long"


class TooManyColumns(TableProblem):
    slug = "too-many-columns"
    title = "The table has too many columns"


class RaggedRows(TableProblem):
    slug = "ragged-rows"
    title = "Rows differ from the header in length"


class UnterminatedQuote(TableProblem):
    slug = "unterminated-quote"
    title = "A quoted value is never closed"


class MisplacedQuote(TableProblem):
    slug = "misplaced-quote"
    title = "Text follows a closing quote"


class CellTooLarge(TableProblem):
    slug = "cell-too-large"
    title = "A value is too large"


class BrokenJson(TableProblem):
    slug = "broken-json"
    title = "The JSON cannot be read"


class BrokenParquet(TableProblem):
    slug = "broken-parquet"
    title = "The Parquet file cannot be read"


class UnsupportedColumn(TableProblem):
    slug = "unsupported-column"
    title = "A column holds something a table here cannot"


class NotFinite(TableProblem):
    slug = "not-finite"
    title = "A number is infinite or not a number"


class UnreadableTable(TableProblem):
    slug = "unreadable-table"
    title = "The table cannot be read"
