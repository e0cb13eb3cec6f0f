"""What access asks of the domains above it, through interfaces: they implement them, the composition root hands them in."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork


class Publisher(Protocol):
    """The publication of routes: keys, memberships or sign-ins changed."""

    async def changed(self, work: UnitOfWork) -> None:
        """Called inside the transaction of the change, so that the next snapshot holds it."""
        ...


class ProjectGuard(Protocol):
    """Who may change what in which project."""

    async def require(self, session: AsyncSession, who: Principal, path: Mapping[str, Any], *, owner: bool) -> None:
        """Raises `ProjectRoleTooLow` where `who` is no editor of the project that a path parameter leads to, or no `owner`."""
        ...


class ModelGuard(Protocol):
    """What an API key that is bound to models reaches."""

    async def require(self, session: AsyncSession, who: Principal, path: Mapping[str, Any]) -> None:
        """Raises `ModelNotFound` where a path parameter leads to a model that `who` is not bound to."""
        ...


class KnownModels(Protocol):
    async def of_workspace(self, session: AsyncSession, models: Collection[UUID]) -> set[UUID]:
        """Those of `models` that are models of the session's workspace."""
        ...
