"""Names of users for the domains above, which do not read the table of users themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.tables import UserRow


@dataclass(frozen=True)
class PersonName:
    id: UUID
    username: str
    email: str


async def names_of(session: AsyncSession, users: Collection[UUID]) -> Mapping[UUID, PersonName]:
    """By id; those that are no more are left out."""
    columns = select(UserRow.id, UserRow.username, UserRow.email).where(UserRow.id.in_(users))
    return {row[0]: PersonName(*row) for row in await session.execute(columns)}
