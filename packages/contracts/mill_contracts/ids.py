"""Identifiers. Every row's id is a UUIDv7 made in Python, so that ids sort by time of creation (RFC 9562)."""

import secrets
import time
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
WorkspaceId = NewType("WorkspaceId", UUID)
ProjectId = NewType("ProjectId", UUID)
DatasetId = NewType("DatasetId", UUID)
DatasetVersionId = NewType("DatasetVersionId", UUID)
ModelId = NewType("ModelId", UUID)
ModelVersionId = NewType("ModelVersionId", UUID)
DeploymentId = NewType("DeploymentId", UUID)
JobId = NewType("JobId", UUID)
KeyId = NewType("KeyId", UUID)


def new_id(milliseconds: int | None = None) -> UUID:
    """A UUIDv7: 48 bits of Unix time in ms, then 74 random bits."""
    moment = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    high = (moment & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | secrets.randbits(12)
    low = 0b10 << 62 | secrets.randbits(62)
    return UUID(int=high << 64 | low)
