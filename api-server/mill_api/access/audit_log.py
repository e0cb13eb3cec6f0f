"""Reading the audit log: filtered pages, and all of it as NDJSON or CSV. Called by the `/audit` endpoints."""

import csv
import io
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from mill_contracts.ids import WorkspaceId
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.schemas import AuditLine
from mill_api.access.tables import AuditRow, UserRow
from mill_api.db import Database
from mill_api.db.pages import LONGEST_PAGE, Page, PageRequest, Position, keyset

ExportFormat = Literal["ndjson", "csv"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


@dataclass(frozen=True)
class AuditFilter:
    user_id: UUID | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def audit_page(session: AsyncSession, wanted: AuditFilter, page: PageRequest) -> Page[AuditLine]:
    """Newest first, with the names that the users have now."""
    statement = select(AuditRow)
    for column, value in ((AuditRow.user_id, wanted.user_id), (AuditRow.action, wanted.action)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.subject is not None:
        statement = statement.where(AuditRow.subject.startswith(wanted.subject, autoescape=True))
    if wanted.since is not None:
        statement = statement.where(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(AuditRow.at < wanted.until)
    found = await keyset(session, statement, AuditRow, page)
    users = {row.user_id for row in found.rows if row.user_id is not None}
    names = {row.id: row.username for row in await session.scalars(select(UserRow).where(UserRow.id.in_(users)))}
    return found.page(lambda row: AuditLine.of(row, names.get(row.user_id) if row.user_id else None))


@dataclass(frozen=True)
class AuditExport:
    """Page by page, each in a short transaction of its own: a slow reader holds nothing open."""

    database: Database
    workspace: WorkspaceId
    wanted: AuditFilter

    async def ndjson(self) -> AsyncGenerator[str]:
        async for lines in self._pages():
            yield "".join(line.model_dump_json() + "\n" for line in lines)

    async def csv(self) -> AsyncGenerator[str]:
        yield _csv_line(AuditLine.model_fields)
        async for lines in self._pages():
            yield "".join(_csv_line(_cells(line)) for line in lines)

    async def _pages(self) -> AsyncGenerator[list[AuditLine]]:
        after: Position | None = None
        while True:
            async with self.database.reading(self.workspace) as session:
                page = await audit_page(session, self.wanted, PageRequest(LONGEST_PAGE, after))
            yield page.items
            if page.next_cursor is None:
                return
            after = Position.parse(page.next_cursor)


def _cells(line: AuditLine) -> Iterable[str]:
    plain = line.model_dump(mode="json", exclude={"details"})
    details = line.model_dump_json(include={"details"}).removeprefix('{"details":').removesuffix("}")
    for field in AuditLine.model_fields:
        yield details if field == "details" else str(plain[field] if plain[field] is not None else "")


def _csv_line(cells: Iterable[str]) -> str:
    """A spreadsheet takes what begins like a formula as text."""
    text = io.StringIO()
    csv.writer(text).writerow(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells)
    return text.getvalue()
