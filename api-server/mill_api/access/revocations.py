"""Ends sign-ins and the access tokens that came of them, here and on ml-service. Called wherever a right is taken away.

The api-server sees it in the rows; ml-service is told by the next snapshot, which is announced after the commit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.routing import Revocation
from mill_contracts.tokens import LONGEST_SECONDS
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.publisher import Publisher
from mill_api.access.repository import RefreshRepository
from mill_api.access.tables import RevocationRow
from mill_api.db import UnitOfWork


async def end_sign_ins(
    work: UnitOfWork, publisher: Publisher, user: UserId, because: str, *, workspace: WorkspaceId | None = None
) -> None:
    """Every sign-in of the user, or those into one workspace."""
    await RefreshRepository(work.session).revoke_of(user, workspace, because)
    await distrust_tokens(work, publisher, user, workspace=workspace)


async def end_sign_in(work: UnitOfWork, publisher: Publisher, user: UserId, family: UUID, because: str) -> None:
    await RefreshRepository(work.session).revoke(family, because)
    await distrust_tokens(work, publisher, user, session=family)


async def recent_revocations(session: AsyncSession) -> Sequence[Revocation]:
    """What the next snapshot tells, asked as mill_system: those that an access token may have outlived. Older ones are forgotten."""
    await session.execute(
        delete(RevocationRow).where(RevocationRow.at < func.now() - timedelta(seconds=LONGEST_SECONDS))
    )
    rows = await session.scalars(select(RevocationRow).order_by(RevocationRow.id))
    return [
        Revocation(user_id=row.user_id, workspace_id=row.workspace_id, session_id=row.session_id, at=row.at)
        for row in rows
    ]


async def distrust_tokens(
    work: UnitOfWork,
    publisher: Publisher,
    user: UserId,
    *,
    workspace: WorkspaceId | None = None,
    session: UUID | None = None,
) -> None:
    """Make the access tokens issued until now worthless; the next refresh gives one that says what is true now."""
    await work.session.flush()
    values = {"id": new_id(), "user_id": user, "workspace_id": workspace, "session_id": session}
    await work.session.execute(insert(RevocationRow).values(**values, at=datetime.now(UTC)))
    await publisher.changed(work)
