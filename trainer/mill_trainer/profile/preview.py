"""The first rows of a table for people: JSON values, long text cut, size bounded whatever the table's width."""

from datetime import date
from pathlib import Path

from mill_contracts.tables import Preview

from mill_trainer.parquet_files import first_rows
from mill_trainer.profile.canonical import Canonical

MOST_CELLS = 200_000
LONGEST_TEXT = 500


def preview_of(path: Path, canonical: Canonical, rows: int) -> Preview:
    """At most `rows` rows, fewer of a very wide table."""
    count = max(1, min(rows, MOST_CELLS // len(canonical.columns)))
    shown = tuple(tuple(_json_value(cell) for cell in row) for row in first_rows(path, count))
    return Preview(columns=tuple(column.name for column in canonical.columns), rows=shown)


def _json_value(cell: object) -> object:
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, str) and len(cell) > LONGEST_TEXT:
        return cell[: LONGEST_TEXT - 1] + "…"
    return cell
