"""What models ask of the deployments above them. Implemented there, given at the composition root."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db import UnitOfWork
from mill_api.models.tables import ModelVersionRow


class Deployments(Protocol):
    async def deployed(self, session: AsyncSession, version_ids: Collection[UUID]) -> set[UUID]:
        """Those of `version_ids` that are live now."""
        ...

    def live_versions(self) -> Select[UUID | None]:
        """The ids of all versions that are live now, to stand in a condition."""
        ...

    async def object_keys(self, session: AsyncSession, model_id: UUID) -> Sequence[str]:
        """The objects of what is deleted with the model."""
        ...

    async def trained(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        """A version has just been trained, in this transaction: a deploy that was asked for takes effect."""
        ...

    async def failed(self, work: UnitOfWork, version: ModelVersionRow) -> None:
        """A training has just failed or been cancelled: a deploy that was asked for is void."""
        ...
