"""Keyset pages: newest first, stable while rows come and go, as cheap on page 1,000 as on page 1. Used by every list.

A repository calls `keyset(session, statement, Row, page)`; an endpoint answers `Page[Schema]`.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from mill_api.errors import InvalidCursor

LONGEST_PAGE = 200
LONGEST_CURSOR = 128


class Dated(Protocol):
    """A row that can be listed: every `TenantRow`, and the job."""

    id: Mapped[UUID]
    created_at: Mapped[datetime]


R = TypeVar("R", bound=Dated)
T = TypeVar("T")
S = TypeVar("S")


class Page(BaseModel, Generic[T]):
    """`next_cursor` is null on the last page; else send it as `cursor` for the next one."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next_cursor: str | None


@dataclass(frozen=True)
class Position:
    """Where the previous page ended."""

    created_at: datetime
    id: UUID

    def cursor(self) -> str:
        text = f"{self.created_at.isoformat()}|{self.id.hex}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str) -> "Position":
        """Raises `InvalidCursor` for anything `cursor()` does not make."""
        try:
            if len(cursor) > LONGEST_CURSOR:
                raise ValueError
            moment, _, identity = (
                base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True).decode().partition("|")
            )
            position = cls(datetime.fromisoformat(moment), UUID(identity))
        except (ValueError, binascii.Error):
            position = None
        if position is None or position.created_at.tzinfo is None or position.cursor() != cursor:
            raise InvalidCursor(
                "Send `next_cursor` of the previous page as it is, or leave `cursor` out for the first page"
            )
        return position


@dataclass(frozen=True)
class PageRequest:
    limit: int = 50
    after: Position | None = None


@dataclass(frozen=True)
class Slice(Generic[S]):
    """Rows of one page, and where the next one begins."""

    rows: Sequence[S]
    next_cursor: str | None

    def page(self, view: Callable[[S], T]) -> Page[T]:
        return Page(items=[view(row) for row in self.rows], next_cursor=self.next_cursor)


async def keyset(session: AsyncSession, statement: Select[R], row: type[R], page: PageRequest) -> Slice[R]:
    """Cut `statement` (which selects `row` and sets no order) to one page, newest first."""
    if page.after is not None:
        statement = statement.where(tuple_(row.created_at, row.id) < tuple_(page.after.created_at, page.after.id))
    ordered = statement.order_by(row.created_at.desc(), row.id.desc()).limit(page.limit + 1)
    rows = (await session.scalars(ordered)).all()
    if len(rows) <= page.limit:
        return Slice(rows, None)
    last = rows[page.limit - 1]
    return Slice(rows[: page.limit], Position(last.created_at, last.id).cursor())
