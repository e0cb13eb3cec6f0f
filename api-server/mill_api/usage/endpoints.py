"""The route of usage."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from mill_api.access.dependencies import Reading
from mill_api.quotas.service import Quota, Quotas
from mill_api.usage.schemas import Amount, Usage

router = APIRouter(prefix="/api/v1/usage", tags=["usage"])


def quotas(request: Request) -> Quotas:
    return request.app.state.parts.quotas


@router.get("")
async def show(session: Reading, quotas: Annotated[Quotas, Depends(quotas)]) -> Usage:
    """What the workspace has, and what it may have."""
    limits = await quotas.limits(session)
    amounts = {
        quota.value: Amount(used=await quotas.used(session, quota), limit=limits[quota] or None) for quota in Quota
    }
    return Usage(**amounts)
