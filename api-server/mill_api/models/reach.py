"""How far an API key reaches that is bound to models: to these, to what was made of them, and to no other."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.models.errors import ModelNotFound

ModelOf = Callable[[AsyncSession, UUID], Awaitable[UUID | None]]
"""The model that something of this id was made of; None for what is of none, or not there."""


def require_reach(who: Principal, model_id: UUID) -> None:
    """Raises `ModelNotFound` for an API key that is bound to other models."""
    if who.models and model_id not in who.models:
        raise ModelNotFound("The API key is bound to other models")


@dataclass(frozen=True)
class ModelReach:
    """Implements `access.publisher.ModelGuard`. `finders` go by the name of a path parameter."""

    finders: Mapping[str, ModelOf]

    async def require(self, session: AsyncSession, who: Principal, path: Mapping[str, Any]) -> None:
        for name, value in path.items():
            finder, identity = self.finders.get(name), _uuid(value)
            model_id = await finder(session, identity) if finder and identity else None
            if model_id is not None:
                require_reach(who, model_id)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
